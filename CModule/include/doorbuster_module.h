#pragma once
// What the files of the C half share. Redis loads the library by RedisModule_OnLoad (module.c); changing.c and
// reading.c have the handlers, command_table.c their table, arguments.c the grammar, bucket_type.c the data type,
// statistics.c `INFO doorbuster`.
#include "redis_api.h"
#include "stock_abi.h"

#define MODULE_NAME "doorbuster"
#define MODULE_VERSION 1
#define MODULE_VERSION_TEXT "0.1.0"
#define BUCKET_TYPE_NAME "doorbustr"
#define BUCKET_ENCODING_VERSION 1

extern RedisModuleType *bucket_type;

int bucket_type_register(RedisModuleCtx *ctx);
int commands_register(RedisModuleCtx *ctx);
int statistics_register(RedisModuleCtx *ctx);

// The bucket of a key, or NULL after an error reply.
stock_bucket *open_bucket(RedisModuleCtx *ctx, RedisModuleString *name, int mode);

void statistics_count(stock_outcome outcome);
void statistics_bucket_made(void);
void statistics_bucket_freed(void);

int command_create(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_schedule(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_deduct(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_cancel(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_fence(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_add(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_get(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_info(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_log(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_trim(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int command_apply(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
