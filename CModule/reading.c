// The handlers of the commands that only read, in the order of changing.c.
#include "arguments.h"
#include "doorbuster_module.h"

static void reply_bytes(RedisModuleCtx *ctx, stock_bytes bytes) {
    if (bytes.start == NULL)
        RedisModule_ReplyWithNull(ctx);
    else
        RedisModule_ReplyWithStringBuffer(ctx, bytes.start, bytes.count);
}

static void reply_number_field(RedisModuleCtx *ctx, const char *field, int64_t number) {
    RedisModule_ReplyWithCString(ctx, field);
    RedisModule_ReplyWithLongLong(ctx, number);
}

static void reply_null_field(RedisModuleCtx *ctx, const char *field) {
    RedisModule_ReplyWithCString(ctx, field);
    RedisModule_ReplyWithNull(ctx);
}

static void reply_word_field(RedisModuleCtx *ctx, const char *field, const char *word) {
    RedisModule_ReplyWithCString(ctx, field);
    RedisModule_ReplyWithCString(ctx, word);
}

static void reply_bytes_field(RedisModuleCtx *ctx, const char *field, stock_bytes bytes) {
    RedisModule_ReplyWithCString(ctx, field);
    reply_bytes(ctx, bytes);
}

int command_get(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 3)
        return RedisModule_WrongArity(ctx);
    stock_bytes token;
    if (!parse_name(ctx, "token", argv[2], &token))
        return REDISMODULE_OK;
    stock_bucket *bucket = open_bucket(ctx, argv[1], REDISMODULE_READ);
    if (bucket == NULL)
        return REDISMODULE_OK;
    stock_purchase purchase;
    if (!stock_get(bucket, token, &purchase))
        return RedisModule_ReplyWithNull(ctx);

    const stock_event *event = &purchase.event;
    RedisModule_ReplyWithMap(ctx, 9);
    reply_bytes_field(ctx, "token", event->token);
    reply_bytes_field(ctx, "user", event->user);
    if (event->action == STOCK_ACTION_FENCE)
        reply_null_field(ctx, "quantity");
    else
        reply_number_field(ctx, "quantity", event->quantity);
    reply_word_field(ctx, "state", stock_state_word(purchase.state));
    if (purchase.is_trimmed) {
        reply_null_field(ctx, "from");
        reply_null_field(ctx, "to");
        reply_number_field(ctx, "sequence", event->sequence);
        reply_null_field(ctx, "timestamp");
    } else {
        reply_number_field(ctx, "from", event->from);
        reply_number_field(ctx, "to", event->to);
        reply_number_field(ctx, "sequence", event->sequence);
        reply_number_field(ctx, "timestamp", event->timestamp);
    }
    reply_null_field(ctx, "expires");
    return REDISMODULE_OK;
}

int command_info(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 2)
        return RedisModule_WrongArity(ctx);
    stock_bucket *bucket = open_bucket(ctx, argv[1], REDISMODULE_READ);
    if (bucket == NULL)
        return REDISMODULE_OK;
    stock_figures figures = stock_describe(bucket);
    RedisModule_ReplyWithMap(ctx, 19);
    reply_number_field(ctx, "created", figures.created);
    reply_number_field(ctx, "added", figures.added);
    reply_number_field(ctx, "available", figures.available);
    reply_number_field(ctx, "held", 0);
    reply_number_field(ctx, "sold", figures.sold);
    reply_number_field(ctx, "cancelled", figures.cancelled);
    reply_number_field(ctx, "transferredIn", 0);
    reply_number_field(ctx, "transferredOut", 0);
    reply_number_field(ctx, "buckets", figures.settings.buckets);
    reply_number_field(ctx, "limit", figures.settings.limit);
    reply_number_field(ctx, "opens", figures.settings.opens);
    reply_number_field(ctx, "closes", figures.settings.closes);
    reply_word_field(ctx, "frozen", "no");
    reply_number_field(ctx, "epoch", figures.epoch);
    reply_number_field(ctx, "tokens", figures.tokens);
    reply_number_field(ctx, "transfers", 0);
    reply_number_field(ctx, "logFirst", figures.log_first);
    reply_number_field(ctx, "logLast", figures.log_last);
    reply_number_field(ctx, "bytes", (int64_t)figures.bytes);
    return REDISMODULE_OK;
}

static void reply_event(RedisModuleCtx *ctx, const stock_event *event) {
    RedisModule_ReplyWithArray(ctx, 8);
    RedisModule_ReplyWithLongLong(ctx, event->sequence);
    RedisModule_ReplyWithCString(ctx, stock_action_word(event->action));
    reply_bytes(ctx, event->token);
    reply_bytes(ctx, event->user);
    RedisModule_ReplyWithLongLong(ctx, event->to - event->from);
    RedisModule_ReplyWithLongLong(ctx, event->from);
    RedisModule_ReplyWithLongLong(ctx, event->to);
    RedisModule_ReplyWithLongLong(ctx, event->timestamp);
}

int command_log(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc < 3)
        return RedisModule_WrongArity(ctx);
    int64_t after, count = STOCK_LOG_COUNT_DEFAULT, epoch = 0;
    option options[] = {
        {.word = "COUNT", .value = &count, .min = 1, .max = STOCK_LOG_COUNT_MAX},
        {.word = "EPOCH", .value = &epoch, .min = 1, .max = STOCK_NUMBER_MAX},
    };
    if (!parse_number(ctx, "after", argv[2], 0, STOCK_NUMBER_MAX, &after))
        return REDISMODULE_OK;
    if (!parse_options(ctx, argv, argc, 3, options, sizeof options / sizeof *options))
        return REDISMODULE_OK;
    stock_bucket *bucket = open_bucket(ctx, argv[1], REDISMODULE_READ);
    if (bucket == NULL)
        return REDISMODULE_OK;
    stock_cursor cursor;
    stock_fault fault = stock_log_seek(bucket, after, epoch, &cursor);
    if (fault != STOCK_FAULT_NONE)
        return reply_named_error(ctx, stock_fault_code(fault), "key", argv[1], stock_fault_meaning(fault));

    int64_t rest = stock_describe(bucket).log_last - after;
    if (rest > count)
        rest = count;
    RedisModule_ReplyWithArray(ctx, (long)rest);
    stock_event event;
    for (; rest > 0 && stock_log_next(bucket, &cursor, &event); rest--)
        reply_event(ctx, &event);
    return REDISMODULE_OK;
}
