// The handlers of the commands that only read.
#include "arguments.h"
#include "doorbuster_module.h"
#include "handling.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

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

static void reply_known_number_field(RedisModuleCtx *ctx, const char *field, bool is_known, int64_t number) {
    if (is_known)
        reply_number_field(ctx, field, number);
    else
        reply_null_field(ctx, field);
}

int command_get(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 3)
        return RedisModule_WrongArity(ctx);
    stock_bytes token;
    if (!parse_name(ctx, "token", argv[2], &token))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_read(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_purchase purchase;
    if (!stock_get(entry->bucket, token, &purchase))
        return RedisModule_ReplyWithNull(ctx);

    const stock_event *event = &purchase.event;
    bool is_whole = !purchase.is_trimmed;
    RedisModule_ReplyWithMap(ctx, 9);
    reply_bytes_field(ctx, "token", event->token);
    reply_bytes_field(ctx, "user", event->user);
    reply_known_number_field(ctx, "quantity", !purchase.is_fence, event->quantity);
    reply_word_field(ctx, "state", stock_state_word(purchase.state));
    reply_known_number_field(ctx, "from", is_whole, event->from);
    reply_known_number_field(ctx, "to", is_whole, event->to);
    reply_number_field(ctx, "sequence", event->sequence);
    reply_known_number_field(ctx, "timestamp", is_whole, event->timestamp);
    reply_known_number_field(ctx, "expires", purchase.state == STOCK_STATE_HELD && event->expires != 0, event->expires);
    return REDISMODULE_OK;
}

int command_info(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 2)
        return RedisModule_WrongArity(ctx);
    bucket_entry *entry = open_to_read(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_figures figures = stock_describe(entry->bucket);
    RedisModule_ReplyWithMap(ctx, 19);
    reply_number_field(ctx, "created", figures.created);
    reply_number_field(ctx, "added", figures.added);
    reply_number_field(ctx, "available", figures.available);
    reply_number_field(ctx, "held", figures.held);
    reply_number_field(ctx, "sold", figures.sold);
    reply_number_field(ctx, "cancelled", figures.cancelled);
    reply_number_field(ctx, "transferredIn", figures.transferred_in);
    reply_number_field(ctx, "transferredOut", figures.transferred_out);
    reply_number_field(ctx, "buckets", figures.settings.buckets);
    reply_number_field(ctx, "limit", figures.settings.limit);
    reply_number_field(ctx, "opens", figures.settings.opens);
    reply_number_field(ctx, "closes", figures.settings.closes);
    reply_word_field(ctx, "frozen", stock_freeze_word(figures.frozen));
    reply_number_field(ctx, "epoch", figures.epoch);
    reply_number_field(ctx, "tokens", figures.tokens);
    reply_number_field(ctx, "transfers", figures.transfers);
    reply_number_field(ctx, "logFirst", figures.log_first);
    reply_number_field(ctx, "logLast", figures.log_last);
    reply_number_field(ctx, "bytes", (int64_t)registry_bytes(entry));
    return REDISMODULE_OK;
}

static void reply_event(RedisModuleCtx *ctx, const stock_event *event) {
    RedisModule_ReplyWithArray(ctx, 8);
    RedisModule_ReplyWithLongLong(ctx, event->sequence);
    RedisModule_ReplyWithCString(ctx, stock_action_word(stock_effect_action(event->effect)));
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
    if (!parse_options(ctx, argv, argc, 3, options, COUNT_OF(options)))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_read(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_cursor cursor = {0};
    stock_fault fault = stock_log_seek(entry->bucket, after, epoch, &cursor);
    if (fault != STOCK_FAULT_NONE)
        return reply_fault(ctx, fault, "key", argv[1]);

    int64_t rest = stock_describe(entry->bucket).log_last - after;
    if (rest > count)
        rest = count;
    RedisModule_ReplyWithArray(ctx, (long)rest);
    stock_event event;
    for (; rest > 0 && stock_log_next(entry->bucket, &cursor, &event); rest--)
        reply_event(ctx, &event);
    return REDISMODULE_OK;
}

static void reply_transfer(RedisModuleCtx *ctx, const stock_transfer *transfer) {
    RedisModule_ReplyWithArray(ctx, 5);
    reply_bytes(ctx, transfer->name);
    RedisModule_ReplyWithCString(ctx, stock_direction_word(transfer->direction));
    RedisModule_ReplyWithLongLong(ctx, transfer->peer);
    RedisModule_ReplyWithLongLong(ctx, transfer->quantity);
    RedisModule_ReplyWithLongLong(ctx, transfer->timestamp);
}

int command_transfers(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc < 2)
        return RedisModule_WrongArity(ctx);
    int64_t count = STOCK_LOG_COUNT_DEFAULT;
    stock_bytes after = {0};
    option options[] = {
        {.word = "ALL"},
        {.word = "AFTER", .name = &after},
        {.word = "COUNT", .value = &count, .min = 1, .max = STOCK_LOG_COUNT_MAX},
    };
    if (!parse_options(ctx, argv, argc, 2, options, COUNT_OF(options)))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_read(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_cursor cursor = {0};
    if (!stock_transfers_seek(entry->bucket, after, options[0].given, &cursor))
        return reply_value_error(ctx, "AFTER", after, "a transfer that the bucket knows");

    long found = 0;
    stock_transfer transfer;
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    for (; found < count && stock_transfers_next(entry->bucket, &cursor, &transfer); found++)
        reply_transfer(ctx, &transfer);
    RedisModule_ReplySetArrayLength(ctx, found);
    return REDISMODULE_OK;
}
