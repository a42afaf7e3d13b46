/* SPDX-License-Identifier: Apache-2.0 */
/* The echo server of the bare C core measurements: unary and stream, one
 * thread, one completion queue, in a child process. */
#include "floor_core.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc_security.h>

enum step { STEP_CALL, STEP_START, STEP_READ, STEP_WRITE, STEP_END };

struct tag {
    struct session *session;
    enum step step;
};

struct session {
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *message;
    int cancelled;
    bool is_unary;
    struct tag tags[STEP_END + 1];
};

static grpc_completion_queue *queue;
static grpc_server *server;

static void
start(struct session *session, grpc_op *ops, size_t count, enum step step)
{
    if (grpc_call_start_batch(session->call, ops, count, &session->tags[step],
                              NULL) != GRPC_CALL_OK) {
        abort();
    }
}

static void
accept_next(void)
{
    struct session *session = calloc(1, sizeof(*session));
    int i;

    for (i = 0; i <= STEP_END; i++) {
        session->tags[i] = (struct tag){ session, (enum step)i };
    }
    grpc_call_details_init(&session->details);
    grpc_metadata_array_init(&session->metadata);
    grpc_server_request_call(server, &session->call, &session->details,
                             &session->metadata, queue, queue,
                             &session->tags[STEP_CALL]);
}

static void
read_next(struct session *session)
{
    grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };

    op.data.recv_message.recv_message = &session->message;
    start(session, &op, 1, STEP_READ);
}

static void
begin(struct session *session)
{
    grpc_op ops[2] = { { .op = GRPC_OP_SEND_INITIAL_METADATA },
                       { .op = GRPC_OP_RECV_CLOSE_ON_SERVER } };

    session->is_unary =
        grpc_slice_str_cmp(session->details.method, FLOOR_UNARY) == 0;
    ops[1].data.recv_close_on_server.cancelled = &session->cancelled;
    start(session, &ops[0], 1, STEP_START);
    start(session, &ops[1], 1, STEP_END);
    read_next(session);
}

static void
answer(struct session *session)
{
    grpc_op ops[2] = { { .op = GRPC_OP_SEND_MESSAGE },
                       { .op = GRPC_OP_SEND_STATUS_FROM_SERVER } };

    if (session->message == NULL) {
        ops[1].data.send_status_from_server.status = GRPC_STATUS_OK;
        start(session, &ops[1], 1, STEP_START);
        return;
    }
    ops[0].data.send_message.send_message = session->message;
    ops[1].data.send_status_from_server.status = GRPC_STATUS_OK;
    start(session, ops, session->is_unary ? 2 : 1, STEP_WRITE);
    grpc_byte_buffer_destroy(session->message);
    session->message = NULL;
}

static void
serve(void)
{
    for (;;) {
        grpc_event event = grpc_completion_queue_next(
            queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        struct tag *tag = event.tag;

        switch (tag->step) {
        case STEP_CALL:
            accept_next();
            begin(tag->session);
            break;
        case STEP_READ:
            answer(tag->session);
            break;
        case STEP_WRITE:
            if (!tag->session->is_unary && event.success) {
                read_next(tag->session);
            }
            break;
        case STEP_END:
            /* Both ends are through: sessions of the last moments stay. */
            grpc_call_unref(tag->session->call);
            break;
        case STEP_START:
        default:
            break;
        }
    }
}

int
floor_serve(int *port)
{
    int pipes[2], i;
    pid_t child;

    if (pipe(pipes) != 0 || (child = fork()) < 0) {
        perror("perf-floor");
        exit(1);
    }
    if (child > 0) {
        close(pipes[1]);
        if (read(pipes[0], port, sizeof(*port)) != sizeof(*port)) {
            fputs("perf-floor: the echo server did not start\n", stderr);
            exit(1);
        }
        close(pipes[0]);
        return child;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    grpc_init();
    queue = grpc_completion_queue_create_for_next(NULL);
    server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(server, queue, NULL);
    *port = grpc_server_add_http2_port(
        server, "127.0.0.1:0", grpc_insecure_server_credentials_create());
    grpc_server_start(server);
    for (i = 0; i < 128; i++) {
        accept_next();
    }
    if (write(pipes[1], port, sizeof(*port)) != sizeof(*port)) {
        _exit(1);
    }
    serve();
    _exit(0);
}
