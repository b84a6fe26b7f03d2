#pragma once
// What the files of the C half share. Redis loads the library by RedisModule_OnLoad (module.c). command_table.c has the
// commands; their handlers are in selling.c, moving.c, operating.c, reading.c and applying.c.
#include "redis_api.h"
#include "stock_abi.h"

#define MODULE_NAME "doorbuster"
#define MODULE_VERSION 1
#define MODULE_VERSION_TEXT "0.1.0"
#define BUCKET_TYPE_NAME "doorbustr"
#define BUCKET_ENCODING_VERSION 2

extern RedisModuleType *bucket_type;

int bucket_type_register(RedisModuleCtx *ctx);
int commands_register(RedisModuleCtx *ctx);
int freezing_register(RedisModuleCtx *ctx);
int statistics_register(RedisModuleCtx *ctx);
int server_events_register(RedisModuleCtx *ctx);

// server_events.c: what this server is now.
extern bool server_is_replica;
extern bool server_is_loading;
// Not so in a replica, nor in a node of a cluster that is to become one once it has found its master.
bool server_is_master(RedisModuleCtx *ctx);
// Has a freeze that is pending propagated before the event loop sleeps, and before any client is heard again.
void server_events_await_sleep(RedisModuleCtx *ctx);

// expiry.c: to be called when a hold was queued, and when this server may have come to expire holds itself.
void expiry_wake(void);
// To be called some times a second, whatever the clock does.
void expiry_watch(void);
void expiry_register(RedisModuleCtx *ctx);

// freezing.c: freezes all buckets, because writes may be missing.
void freezing_at_promotion(RedisModuleCtx *ctx);
void freezing_at_demotion(void);
void freezing_at_start(RedisModuleCtx *ctx, bool from_aof);
// A change of the append-only file or of the master was refused, so that buckets miss it: the next start or promotion
// freezes them whatever the configuration says. Until all that is here comes anew from a master.
void freezing_note_missing(void);
void freezing_after_sync(void);
// Applies what a master, or this server itself before it restarted, did so; false where the payload is none of that.
bool freezing_apply(RedisModuleCtx *ctx, stock_bytes payload);
// Whether a freeze has still to be propagated: before the event loop sleeps, once no write pause forbids it, and before
// any change of a bucket.
extern bool freezing_is_pending;
void freezing_propagate(RedisModuleCtx *ctx);
const char *freezing_setting_word(void);

void statistics_count(const stock_outcome *outcome);
void statistics_count_expired(uint32_t holds, bool by_timer);
void statistics_count_refused_change(void);

int command_create(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_schedule(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_deduct(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_confirm(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_cancel(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_fence(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_add(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_withdraw(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_deposit(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_settle(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_rebalance(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_freeze(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_thaw(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_record(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_trim(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_get(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_info(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_log(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_transfers(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_apply(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
