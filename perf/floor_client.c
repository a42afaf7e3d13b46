/* SPDX-License-Identifier: Apache-2.0 */
/* The client of the bare C core measurements: blocking unary calls, and one
 * stream with a message at a time. */
#include "floor.h"
#include "floor_core.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc_security.h>

struct caller {
    pthread_t thread;
    grpc_channel *channel;
    uint64_t operations;
    int64_t until_ns;
};

static void
must(bool claim, const char *what)
{
    if (!claim) {
        fprintf(stderr, "perf-floor: %s failed\n", what);
        exit(1);
    }
}

grpc_channel *
floor_channel(int port)
{
    char target[32];
    static char retries[] = "grpc.enable_retries";
    static char minimal[] = "grpc.minimal_stack";
    static char deadlines[] = "grpc.enable_deadline_checking";
    grpc_arg values[] = {
        { GRPC_ARG_INTEGER, retries, { .integer = 0 } },
        { GRPC_ARG_INTEGER, minimal, { .integer = 1 } },
        { GRPC_ARG_INTEGER, deadlines, { .integer = 1 } },
    };
    grpc_channel_args args = { 3, values };
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    grpc_channel *channel;

    snprintf(target, sizeof(target), "127.0.0.1:%d", port);
    channel = grpc_channel_create(target, credentials, &args);
    grpc_channel_credentials_release(credentials);
    return channel;
}

static grpc_byte_buffer *
message_of(unsigned bytes)
{
    grpc_slice slice = grpc_slice_malloc(bytes);
    grpc_byte_buffer *message;

    memset(GRPC_SLICE_START_PTR(slice), 'm', bytes);
    message = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return message;
}

static grpc_call *
new_call(grpc_channel *channel, grpc_completion_queue *queue, const char *path)
{
    return grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                    queue, grpc_slice_from_static_string(path),
                                    NULL, gpr_inf_future(GPR_CLOCK_REALTIME),
                                    NULL);
}

static void
call_once(struct caller *caller, grpc_completion_queue *queue)
{
    grpc_byte_buffer *out = message_of(100), *in = NULL;
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice details;
    grpc_op ops[6] = { { .op = GRPC_OP_SEND_INITIAL_METADATA },
                       { .op = GRPC_OP_SEND_MESSAGE },
                       { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
                       { .op = GRPC_OP_RECV_INITIAL_METADATA },
                       { .op = GRPC_OP_RECV_MESSAGE },
                       { .op = GRPC_OP_RECV_STATUS_ON_CLIENT } };
    grpc_call *call = new_call(caller->channel, queue, FLOOR_UNARY);

    grpc_metadata_array_init(&initial);
    grpc_metadata_array_init(&trailing);
    ops[1].data.send_message.send_message = out;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
    ops[4].data.recv_message.recv_message = &in;
    ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
    ops[5].data.recv_status_on_client.status = &status;
    ops[5].data.recv_status_on_client.status_details = &details;
    must(grpc_call_start_batch(call, ops, 6, call, NULL) == GRPC_CALL_OK,
         "a unary call");
    grpc_completion_queue_pluck(queue, call, gpr_inf_future(GPR_CLOCK_REALTIME),
                                NULL);
    must(status == GRPC_STATUS_OK && in != NULL, "a unary answer");
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_byte_buffer_destroy(out);
    grpc_byte_buffer_destroy(in);
    grpc_call_unref(call);
}

static void *
call_often(void *arg)
{
    struct caller *caller = arg;
    grpc_completion_queue *queue = grpc_completion_queue_create_for_pluck(NULL);

    while (usage_clock() < caller->until_ns) {
        call_once(caller, queue);
        caller->operations++;
    }
    grpc_completion_queue_shutdown(queue);
    grpc_completion_queue_destroy(queue);
    return NULL;
}

void
floor_unary(struct floor_result *result, int port, unsigned threads,
            unsigned seconds)
{
    struct caller *callers = calloc(threads, sizeof(*callers));
    struct usage from, to;
    unsigned i;

    must(callers != NULL, "memory");
    result->operations = 0;
    usage_now(&from);
    for (i = 0; i < threads; i++) {
        callers[i].channel = floor_channel(port);
        callers[i].until_ns = usage_clock() + (int64_t)seconds * 1000000000;
        pthread_create(&callers[i].thread, NULL, call_often, &callers[i]);
    }
    for (i = 0; i < threads; i++) {
        pthread_join(callers[i].thread, NULL);
        result->operations += callers[i].operations;
        grpc_channel_destroy(callers[i].channel);
    }
    usage_now(&to);
    result->usage = usage_between(&from, &to);
    free(callers);
}

/* One batch of operations, waited for. */
static void
step(grpc_call *call, grpc_completion_queue *queue, grpc_op *ops, size_t count)
{
    must(grpc_call_start_batch(call, ops, count, call, NULL) == GRPC_CALL_OK,
         "a step of the stream");
    grpc_completion_queue_pluck(queue, call, gpr_inf_future(GPR_CLOCK_REALTIME),
                                NULL);
}

static uint64_t
exchange(grpc_call *call, grpc_completion_queue *queue, unsigned bytes,
         int64_t until_ns, struct histogram *latency_ns)
{
    uint64_t messages = 0;
    int64_t now_ns;

    while ((now_ns = usage_clock()) < until_ns) {
        grpc_byte_buffer *out = message_of(bytes), *in = NULL;
        grpc_op ops[2] = { { .op = GRPC_OP_SEND_MESSAGE },
                           { .op = GRPC_OP_RECV_MESSAGE } };

        ops[0].data.send_message.send_message = out;
        ops[1].data.recv_message.recv_message = &in;
        step(call, queue, ops, 2);
        must(in != NULL, "a stream answer");
        grpc_byte_buffer_destroy(out);
        grpc_byte_buffer_destroy(in);
        histogram_add(latency_ns, (uint64_t)(usage_clock() - now_ns));
        messages++;
    }
    return messages;
}

void
floor_stream(struct floor_result *result, int port, unsigned bytes,
             unsigned weight, unsigned seconds)
{
    grpc_completion_queue *queue = grpc_completion_queue_create_for_pluck(NULL);
    grpc_channel *channel = floor_channel(port);
    grpc_call *call = new_call(channel, queue, FLOOR_STREAM);
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice details;
    grpc_op open[2] = { { .op = GRPC_OP_SEND_INITIAL_METADATA },
                        { .op = GRPC_OP_RECV_INITIAL_METADATA } };
    grpc_op end[2] = { { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
                       { .op = GRPC_OP_RECV_STATUS_ON_CLIENT } };
    struct usage from, to;

    grpc_metadata_array_init(&initial);
    grpc_metadata_array_init(&trailing);
    open[1].data.recv_initial_metadata.recv_initial_metadata = &initial;
    end[1].data.recv_status_on_client.trailing_metadata = &trailing;
    end[1].data.recv_status_on_client.status = &status;
    end[1].data.recv_status_on_client.status_details = &details;
    step(call, queue, open, 2);
    usage_now(&from);
    result->operations =
        weight * exchange(call, queue, bytes,
                          from.wall_ns + (int64_t)seconds * 1000000000,
                          &result->latency_ns);
    usage_now(&to);
    result->usage = usage_between(&from, &to);
    step(call, queue, end, 2);
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_call_unref(call);
    grpc_completion_queue_shutdown(queue);
    grpc_completion_queue_destroy(queue);
    grpc_channel_destroy(channel);
}
