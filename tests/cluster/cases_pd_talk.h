/* SPDX-License-Identifier: Apache-2.0 */
/* What the cases of PD share: streams that keep what they were told. */
#ifndef TK_CASES_PD_TALK_H
#define TK_CASES_PD_TALK_H

#include "unit/cluster/pd_fixture.h"

enum { PD_TOLD = 64 };

struct pd_talk {
    struct way_stream stream;
    tikv_slice told[PD_TOLD];
    size_t count;
    size_t read;
    int status; /* when it has ended */
    char text[160];
};

static inline void
pd_talk_message(void *arg, tikv_slice bytes)
{
    struct pd_talk *talk = arg;
    uint8_t *copy = upb_Arena_Malloc(talk->stream.fx->arena, bytes.len + 1);

    assert_true(talk->count < PD_TOLD);
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    talk->told[talk->count++] = tk_slice(copy, bytes.len);
}

static inline void
pd_talk_end(void *arg, int status, const char *text)
{
    struct pd_talk *talk = arg;

    talk->status = status;
    (void)snprintf(talk->text, sizeof(talk->text), "%s", text);
}

static inline void
pd_talk_open(struct pd_talk *talk, struct fx *fx, uint32_t member,
             const char *path)
{
    memset(talk, 0, sizeof(*talk));
    talk->stream.message = pd_talk_message;
    talk->stream.end = pd_talk_end;
    talk->stream.arg = talk;
    way_stream_open(&talk->stream, fx, member, path);
}

#define PD_SAY(talk, package, type, request)                                   \
    do {                                                                       \
        size_t len_;                                                           \
        char *bytes_ = package##_##type##_serialize(                           \
            (request), (talk)->stream.fx->arena, &len_);                       \
        way_stream_send(&(talk)->stream, tk_slice(bytes_, len_));              \
    } while (0)

/* The next message, which must come. */
static inline tikv_slice
pd_hear(struct pd_talk *talk)
{
    way_stream_wait(&talk->stream, &talk->count, talk->read + 1);
    assert_true(talk->read < talk->count);
    return talk->told[talk->read++];
}

/* The status of the end, which must come. */
static inline int
pd_hear_end(struct pd_talk *talk)
{
    way_stream_wait(&talk->stream, &talk->count, SIZE_MAX);
    return talk->status;
}

/* ---- Tso ---- */

static inline void
pd_ask_ts(struct pd_talk *talk, uint64_t cluster_id, uint32_t count)
{
    struct fx *fx = talk->stream.fx;
    pdpb_RequestHeader *header = pdpb_RequestHeader_new(fx->arena);
    pdpb_TsoRequest *request = pdpb_TsoRequest_new(fx->arena);

    pdpb_RequestHeader_set_cluster_id(header, cluster_id);
    pdpb_TsoRequest_set_header(request, header);
    pdpb_TsoRequest_set_count(request, count);
    PD_SAY(talk, pdpb, TsoRequest, request);
}

/* The last timestamp of an answer with so many. */
static inline uint64_t
pd_hear_ts(struct pd_talk *talk, uint32_t count)
{
    tikv_slice bytes = pd_hear(talk);
    const pdpb_TsoResponse *answer =
        pdpb_TsoResponse_parse((const char *)bytes.data, bytes.len,
                               talk->stream.fx->arena);
    const pdpb_Timestamp *ts = pdpb_TsoResponse_timestamp(answer);

    assert_int_equal(pdpb_TsoResponse_count(answer), count);
    assert_int_equal(pdpb_Timestamp_suffix_bits(ts), 0);
    assert_true(pdpb_Timestamp_logical(ts) >= count);
    assert_true(pdpb_Timestamp_logical(ts) < 1 << 18);
    return (uint64_t)pdpb_Timestamp_physical(ts) << 18 |
           (uint64_t)pdpb_Timestamp_logical(ts);
}

static inline uint64_t
pd_take_ts(struct pd_talk *talk, uint32_t count)
{
    pd_ask_ts(talk, tk_cluster_id(talk->stream.fx->cluster), count);
    return pd_hear_ts(talk, count);
}

/* ---- regions ---- */

static inline const pdpb_GetRegionResponse *
pd_region(struct fx *fx, uint32_t member, const char *path, const char *key,
          const char *const *metadata)
{
    pdpb_GetRegionRequest *request = pdpb_GetRegionRequest_new(fx->arena);
    const char *bytes;
    size_t len;

    pdpb_GetRegionRequest_set_header(request, fx_header(fx));
    pdpb_GetRegionRequest_set_region_key(request, fx_view(key));
    pdpb_GetRegionRequest_set_need_buckets(request, true);
    bytes = pdpb_GetRegionRequest_serialize(request, fx->arena, &len);
    fx_call_with(fx, member, path, metadata, bytes, len);
    return fx->status != TK_GRPC_OK ? NULL
                                    : FX_PARSE(fx, pdpb, GetRegionResponse);
}

static inline uint64_t
pd_region_id(const pdpb_GetRegionResponse *answer)
{
    const metapb_Region *region = pdpb_GetRegionResponse_region(answer);

    return region == NULL ? 0 : metapb_Region_id(region);
}

static inline uint64_t
pd_inner_id(struct fx *fx, const char *key)
{
    return tk_cluster_region_of(fx->cluster, fx_slice(key));
}

#endif
