#pragma once
// The steps that handlers have in common: open the key, propagate, reply. A handler takes them in one order: arity, all
// arguments, key and type, decide and apply (the Swift half), replicate, reply.
#include "doorbuster_module.h"
#include "registry.h"

typedef enum { BUCKET_FOUND, BUCKET_MISSING, BUCKET_OTHER_TYPE } bucket_presence;

enum { OPEN_TO_READ = REDISMODULE_READ, OPEN_TO_CHANGE = REDISMODULE_READ | REDISMODULE_WRITE };

// What an open key holds. Its value stays where it is until the command ends, so the key itself need not stay open.
bucket_presence look_into(RedisModuleKey *key, bucket_entry **entry);
void close_bucket(RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *key, bucket_entry *entry);
// All of it, without a reply.
bucket_presence find_bucket(RedisModuleCtx *ctx, RedisModuleString *name, int mode, bucket_entry **entry);
void put_bucket(RedisModuleCtx *ctx, RedisModuleString *name, bucket_entry *entry);

// Whether a command of a client may change buckets here; else it has replied. What is to be propagated before goes now.
bool pass_gate(RedisModuleCtx *ctx);
static inline bool may_change(RedisModuleCtx *ctx) {
    return (!server_is_replica && !freezing_is_pending) || pass_gate(ctx);
}
// Whether the bucket is there; else it has replied.
bool refuse_missing(RedisModuleCtx *ctx, bucket_presence presence, const RedisModuleString *name);
static inline bool must_be_found(RedisModuleCtx *ctx, bucket_presence presence, const RedisModuleString *name) {
    return presence == BUCKET_FOUND || refuse_missing(ctx, presence, name);
}
// The bucket of a key, or NULL after an error reply.
bucket_entry *open_to_read(RedisModuleCtx *ctx, RedisModuleString *name);
bucket_entry *open_to_change(RedisModuleCtx *ctx, RedisModuleString *name);

// The one place from which a change of a bucket leaves this server.
void propagate(RedisModuleCtx *ctx, RedisModuleString *name, bucket_entry *entry, stock_turn turn);
// Tells that a bucket was sold out, or came back on sale.
void announce(RedisModuleCtx *ctx, RedisModuleString *name, stock_turn turn);

int reply_fault(RedisModuleCtx *ctx, stock_fault fault, const char *what, const RedisModuleString *value);
int reply_ok(RedisModuleCtx *ctx);
// Propagates what changed; false after an error reply that names a value.
bool finish_change(RedisModuleCtx *ctx, RedisModuleString *name, bucket_entry *entry, const stock_outcome *outcome,
                   const char *what, const RedisModuleString *value);
// The same, and answers `[status, remaining, sequence]`.
int finish(RedisModuleCtx *ctx, RedisModuleString *name, bucket_entry *entry, const stock_outcome *outcome,
           const char *what, const RedisModuleString *value);

// ready_replies.c: `[status, remaining, sequence]`, by a command on a key.
int reply_outcome(RedisModuleCtx *ctx, const RedisModuleString *name, const stock_outcome *outcome);
// Has the server make these replies once, before any client can watch it by MONITOR.
void ready_replies_make(RedisModuleCtx *ctx);
// Answers STOCK.APPLY where the module itself has called it to make a reply; else false.
bool ready_replies_answer(RedisModuleCtx *ctx);
