/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share.
 *
 * A node is there for the life of the cluster; a server is one life of a node
 * between up and down, counted by whoever may still touch it:
 *
 *     OPEN --down--> CLOSED --last reference--> destroyed
 *       \--replaced--> LEAVING --calls end, or node down--^
 *
 * References of a server: its node while it is open, the shutdown tag, every
 * accept posted, every call and stream, every guest being looked at. So gRPC
 * never sees a server die under a call, and "all servers are gone" is what
 * stopping waits for.
 *
 * Lock: tk_serve.lock, rank SERVE, for nodes, listeners and counts. Nothing of
 * gRPC and of the core is called under it.
 */
#ifndef TK_CLUSTER_SERVE_INSIDE_H
#define TK_CLUSTER_SERVE_INSIDE_H

#include <netinet/in.h>
#include <stdatomic.h>

#include <grpc/grpc.h>

#include "cluster/serve/serve.h"
#include "exec/mutex.h"

/* A tag of a completion queue: what to do with the event. */
struct tk_serve_event {
    void (*fn)(struct tk_serve_event *, bool ok);
    void *owner;
};

struct tk_serve_poller {
    grpc_completion_queue *cq;
    struct tk_thread *thread;
};

struct tk_serve_server {
    grpc_server *grpc;
    struct tk_serve *serve;
    struct tk_serve_poller *poller;
    tk_node node;
    _Atomic uint32_t refs; /* relaxed up, acq_rel down */
    _Atomic bool open;     /* cleared under the lock */
    uint64_t connections;  /* so far; guarded by the lock */
    struct tk_serve_event closed;
};

/* What a readable descriptor of the accepting thread belongs to. */
enum tk_serve_watch {
    TK_WATCH_WAKE,
    TK_WATCH_LISTENER,
    TK_WATCH_GUEST,
    TK_WATCH_LINK,
    TK_WATCH_TUNNEL
};

/* A port. It stays bound while its node is down, only not listening, so that
 * a restart on the same port cannot lose it to somebody else. The descriptor
 * is closed by the accepting thread alone: it may be using it. */
struct tk_serve_listener {
    enum tk_serve_watch watch; /* first: epoll points here */
    int fd;
    uint16_t port;
    bool listening;                 /* guarded by the lock */
    struct tk_serve_node *node;     /* guarded by the lock; NULL: retired */
    struct tk_serve_listener *next; /* of retired; guarded by the lock */
};

struct tk_serve_node {
    tk_node id;
    struct tk_serve_poller *poller;
    struct tk_serve_listener *listener; /* guarded by the lock */
    struct tk_serve_server *server;     /* guarded by the lock; NULL: down */
    uint64_t wanted;                    /* events so far; guarded by the lock */
    bool is_syncing;                    /* guarded by the lock */
    bool new_port;       /* with the next start; guarded by the lock */
    bool is_stale;       /* its server is to be replaced; as the next two */
    uint32_t max_streams; /* calls at a time on a connection; 0: any */
    bool is_compressed;   /* answers, by gzip; guarded by the lock */
    tikv_error *trouble; /* guarded by the lock */
};

/* A connection whose first bytes are awaited, or that is being told off. */
struct tk_serve_guest {
    enum tk_serve_watch watch; /* first: epoll points here */
    int fd;
    bool leaving;
    struct tk_serve_page *page; /* NULL until it speaks HTTP/1 */
    int64_t deadline;
    struct tk_serve_server *server; /* counted */
    struct tk_serve_guest *prev;
    struct tk_serve_guest *next;
};

/* A connection that is gRPC's now, by a second descriptor: a node that goes
 * down shuts it before gRPC can say anything to the client. Made and freed by
 * the accepting thread. */
struct tk_serve_link {
    enum tk_serve_watch watch; /* first: epoll points here */
    int fd;
    int given;        /* gRPC's descriptor of it; a number, no more */
    uint64_t ordinal; /* among those of the server, from 1; fixed */
    struct tk_serve_server *server; /* counted */
    struct tk_serve_link *prev;     /* guarded by the lock */
    struct tk_serve_link *next;     /* guarded by the lock */
};

/* Of the accepting thread alone, except where noted. */
struct tk_serve_acceptor {
    int epoll_fd;
    int wake_fd;
    enum tk_serve_watch wake_watch;
    _Atomic bool ending;
    struct tk_thread *thread;
    struct tk_serve_guest *guests;
    size_t guests_count;
    struct tk_serve_listener *retired; /* guarded by the lock */
    struct tk_serve_link *links;       /* guarded by the lock */
    grpc_server_credentials *credentials;
    struct ssl_ctx_st *tls; /* NULL: connections are plain */
    struct tk_serve_tunnel *tunnels;
    bool tunnels_end; /* some are about to */
};

struct tk_serve {
    struct tk_runtime *rt;
    _Atomic(struct tk_cluster *) core;
    struct tk_mutex lock;
    struct tk_serve_node *nodes; /* PD members, then stores */
    size_t nodes_count;
    uint32_t pds_count;
    struct tk_serve_poller *pollers; /* [0] of the members, then by store */
    size_t pollers_count;
    struct tk_serve_acceptor acceptor;
    uint64_t alive[2];        /* enum tk_serve_kind; guarded by the lock */
    struct tk_parker *waiter; /* for none of a kind; guarded by the lock */
    _Atomic bool stopped;
    void *control_arg;                   /* before `control` */
    _Atomic(tk_serve_control *) control; /* or NULL */
};

/* ---- listen.c: sockets ---- */

/* Binds, does not listen yet. */
tikv_error *
tk_serve_bind(uint16_t port, struct tk_serve_listener **out);

/* Also makes it known to the accepting thread. */
tikv_error *
tk_serve_listen(struct tk_serve *serve, struct tk_serve_listener *listener);

/* Connections that were not accepted yet are reset; the port stays ours. */
void
tk_serve_unlisten(struct tk_serve *serve, struct tk_serve_listener *listener);

/* The port goes. */
void
tk_serve_retire(struct tk_serve *serve, struct tk_serve_listener *listener);

/* ---- accept.c ---- */

tikv_error *
tk_serve_acceptor_open(struct tk_serve *serve, const struct tk_serve_tls *tls);

/* Guests go; descriptors of retired listeners are closed. */
void
tk_serve_acceptor_close(struct tk_serve *serve);

/* Makes the accepting thread look at what has changed. */
void
tk_serve_acceptor_wake(struct tk_serve *serve);

/* ---- link.c: connections that are gRPC's ---- */

/* False: the server has closed meanwhile, or descriptors or memory ended. */
bool
tk_serve_link_new(struct tk_serve *serve, struct tk_serve_server *server,
                  int fd);

void
tk_serve_link_free(struct tk_serve *serve, struct tk_serve_link *link);

/* No connection of the server, or of one before it that has not ended yet,
 * carries anything from now on. */
void
tk_serve_link_cut(struct tk_serve *serve, struct tk_serve_server *server);

/* The connection that the call came by, among those of its server, from 1;
 * 0: it is gone. */
uint64_t
tk_serve_link_ordinal(struct tk_serve_server *server, grpc_call *call);

/* ---- line.c ---- */

void
tk_serve_line(void *arg, tk_node id, enum tk_cluster_line line,
              uint64_t value);

/* ---- http.c: a guest that asks for a page ---- */

enum tk_serve_progress {
    TK_SERVE_READS,  /* when there is more to read, step again */
    TK_SERVE_WRITES, /* when there is room to write */
    TK_SERVE_DONE,   /* the answer is on its way */
    TK_SERVE_FAILED
};

struct tk_serve_page *
tk_serve_page_new(void);

void
tk_serve_page_free(struct tk_serve_page *page);

enum tk_serve_progress
tk_serve_page_step(struct tk_serve *serve, struct tk_serve_guest *guest);

/* ---- serve.c ---- */

struct tk_serve_node *
tk_serve_node_of(struct tk_serve *serve, tk_node id);

/* Looks again at what the core wants of the node. */
void
tk_serve_sync(struct tk_serve *serve, tk_node id);

/* What must be gone before the cluster is: servers, and calls that nobody
 * but the core holds any more. */
enum tk_serve_kind { TK_SERVE_SERVERS, TK_SERVE_ORPHANS };

void
tk_serve_alive_add(struct tk_serve *serve, enum tk_serve_kind kind);

/* May be the last touch of `serve`. */
void
tk_serve_alive_drop(struct tk_serve *serve, enum tk_serve_kind kind);

/* ---- server.c ---- */

void
tk_serve_server_ref(struct tk_serve_server *server);

void
tk_serve_server_unref(struct tk_serve_server *server);

/* A new life on the poller's queue, not known to any node yet. */
tikv_error *
tk_serve_server_open(struct tk_serve *serve, struct tk_serve_node *node,
                     struct tk_serve_server **out);

/* Tells its clients to go elsewhere and lets their calls end in peace; takes
 * the caller's reference. */
void
tk_serve_server_leave(struct tk_serve_server *server);

/* Breaks its connections and takes the caller's reference. */
void
tk_serve_server_close(struct tk_serve_server *server);

tikv_error *
tk_serve_poller_open(struct tk_serve *serve, struct tk_serve_poller *poller);

void
tk_serve_poller_close(struct tk_serve *serve, struct tk_serve_poller *poller);

/* ---- call.c: unary calls ---- */

/* Posts one accept on `server`; false without memory. */
bool
tk_serve_call_post(struct tk_serve_server *server);

/* ---- stream.c ---- */

/* Whether gRPC calls of the path are streams. */
bool
tk_serve_is_stream(const char *path);

/* Takes the call and one reference of the server. */
void
tk_serve_stream_begin(struct tk_serve_server *server, grpc_call *call,
                      const char *path, const char *const *metadata);

/* ---- bytes.c: between gRPC's buffers and ours ---- */

/* gRPC's limit for all metadata of a call is 8 KiB by default. */
#define TK_SERVE_METADATA_MAX 32
#define TK_SERVE_METADATA_BYTES 8192

/* Keys and values with terminators; what does not fit is left out. */
struct tk_serve_metadata {
    const char *list[2 * TK_SERVE_METADATA_MAX + 1];
    char text[TK_SERVE_METADATA_BYTES];
};

void
tk_serve_metadata_read(struct tk_serve_metadata *out,
                       const grpc_metadata_array *metadata);

/* False: longer than the buffer. */
bool
tk_serve_text(char *buffer, size_t size, grpc_slice text);

/* One received message in one piece; fini in any case. */
struct tk_serve_message {
    grpc_slice slice;
    bool has_slice;
    tikv_slice bytes;
};

bool
tk_serve_message_init(struct tk_serve_message *message,
                      grpc_byte_buffer *buffer);

void
tk_serve_message_fini(struct tk_serve_message *message);

grpc_byte_buffer *
tk_serve_buffer(tikv_slice bytes);

#endif
