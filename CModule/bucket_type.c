// The native data type: how a bucket is saved, loaded, rewritten, copied, digested and freed.
#include "doorbuster_module.h"
#include "registry.h"

enum { PART_BYTES = 64 * 1024 };

RedisModuleType *bucket_type;

static void release(void *value) {
    registry_free(value);
}

// The key is taken away from the value, which is freed, or has another key already.
static void unlink_value(RedisModuleKeyOptCtx *ctx, const void *value) {
    (void)ctx;
    registry_lose((bucket_entry *)value);
}

// RDB, encoding 2: the last sequence and the number of open transfers, then parts as `stock_encode` gives them, then an
// empty string. The two numbers tell where the end of the last part is missing.
static void save(RedisModuleIO *rdb, void *value) {
    const stock_bucket *bucket = ((const bucket_entry *)value)->bucket;
    char *part = RedisModule_Alloc(PART_BYTES);
    stock_cursor cursor = {0};
    size_t count;
    stock_figures figures = stock_describe(bucket);
    RedisModule_SaveUnsigned(rdb, (uint64_t)figures.log_last);
    RedisModule_SaveUnsigned(rdb, (uint64_t)figures.transfers);
    while ((count = stock_encode(bucket, &cursor, part, PART_BYTES)) > 0)
        RedisModule_SaveStringBuffer(rdb, part, count);
    RedisModule_SaveStringBuffer(rdb, "", 0);
    RedisModule_Free(part);
}

static stock_fault load_parts(RedisModuleIO *rdb, stock_bucket **bucket) {
    for (;;) {
        size_t count = 0;
        char *part = RedisModule_LoadStringBuffer(rdb, &count);
        if (RedisModule_IsIOError(rdb)) {
            RedisModule_Free(part);
            return STOCK_FAULT_DAMAGED;
        }
        if (count == 0) {
            RedisModule_Free(part);
            return STOCK_FAULT_NONE;
        }
        stock_turn turn;
        stock_fault fault = stock_apply(bucket, (stock_bytes){part, count}, &turn);
        if (fault == STOCK_FAULT_VERSION)
            RedisModule_LogIOError(rdb, "warning",
                                   "bucket refused: its payload is of version %d, this module reads version %d",
                                   (unsigned char)part[0], STOCK_PAYLOAD_VERSION);
        RedisModule_Free(part);
        if (fault != STOCK_FAULT_NONE)
            return fault;
    }
}

static bool is_complete(const stock_bucket *bucket, uint64_t last, uint64_t transfers) {
    if (bucket == NULL || !stock_is_whole(bucket))
        return false;
    stock_figures figures = stock_describe(bucket);
    return (uint64_t)figures.log_last == last && (uint64_t)figures.transfers == transfers;
}

static void *load(RedisModuleIO *rdb, int encoding) {
    if (encoding != BUCKET_ENCODING_VERSION) {
        RedisModule_LogIOError(rdb, "warning",
                               "bucket refused: its encoding is of version %d, this module reads version %d", encoding,
                               BUCKET_ENCODING_VERSION);
        return NULL;
    }
    uint64_t last = RedisModule_LoadUnsigned(rdb);
    uint64_t transfers = RedisModule_LoadUnsigned(rdb);
    if (RedisModule_IsIOError(rdb))
        return NULL;
    stock_bucket *bucket = NULL;
    stock_fault fault = load_parts(rdb, &bucket);
    if (fault == STOCK_FAULT_NONE && is_complete(bucket, last, transfers))
        return registry_add(bucket, RedisModule_GetDbIdFromIO(rdb), RedisModule_GetKeyNameFromIO(rdb));
    if (fault != STOCK_FAULT_VERSION)
        RedisModule_LogIOError(rdb, "warning", "bucket refused: %s",
                               stock_fault_meaning(fault == STOCK_FAULT_NONE ? STOCK_FAULT_DAMAGED : fault));
    if (bucket != NULL)
        stock_free(bucket);
    return NULL;
}

static void rewrite(RedisModuleIO *aof, RedisModuleString *key, void *value) {
    const bucket_entry *entry = value;
    char *part = RedisModule_Alloc(PART_BYTES);
    stock_cursor cursor = {0};
    size_t count;
    while ((count = stock_encode(entry->bucket, &cursor, part, PART_BYTES)) > 0)
        RedisModule_EmitAOF(aof, "STOCK.APPLY", "sb", key, part, count);
    RedisModule_Free(part);
}

static void *copy(RedisModuleKeyOptCtx *ctx, const void *value) {
    const bucket_entry *entry = value;
    char *part = RedisModule_Alloc(PART_BYTES);
    stock_bucket *made = NULL;
    stock_cursor cursor = {0};
    stock_turn turn;
    stock_fault fault = STOCK_FAULT_NONE;
    size_t count;
    while (fault == STOCK_FAULT_NONE && (count = stock_encode(entry->bucket, &cursor, part, PART_BYTES)) > 0)
        fault = stock_apply(&made, (stock_bytes){part, count}, &turn);
    RedisModule_Free(part);
    if (made == NULL)
        return NULL;
    if (fault == STOCK_FAULT_NONE)
        return registry_add(made, RedisModule_GetToDbIdFromOptCtx(ctx), RedisModule_GetToKeyNameFromOptCtx(ctx));
    stock_free(made);
    return NULL;
}

static void digest_log(RedisModuleDigest *digest, const stock_bucket *bucket, int64_t after) {
    stock_cursor cursor = {0};
    stock_event event;
    char encoded[STOCK_EVENT_BYTES_MAX];
    if (stock_log_seek(bucket, after, 0, &cursor) != STOCK_FAULT_NONE)
        return;
    while (stock_log_next(bucket, &cursor, &event))
        RedisModule_DigestAddStringBuffer(digest, encoded, stock_encode_event(&event, encoded));
}

// Whatever tells two buckets apart except being frozen, the epoch and the hash key, which are no part of what was sold.
// Trimmed tokens are told by their fingerprints under that key, which whatever carries a bucket carries along.
static void digest(RedisModuleDigest *digest, void *value) {
    const stock_bucket *bucket = ((const bucket_entry *)value)->bucket;
    stock_figures figures = stock_describe(bucket);
    uint64_t sums[2];
    stock_digest(bucket, sums);
    long long numbers[] = {
        figures.settings.buckets, figures.settings.limit, figures.settings.opens,
        figures.settings.closes,  figures.created,        figures.added,
        figures.available,        figures.held,           figures.sold,
        figures.cancelled,        figures.transferred_in, figures.transferred_out,
        figures.tokens,           figures.transfers,      figures.log_first,
        figures.log_last,         (long long)sums[0],     (long long)sums[1],
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        RedisModule_DigestAddLongLong(digest, numbers[i]);
    digest_log(digest, bucket, figures.log_first - 1);
    RedisModule_DigestEndSequence(digest);
}

static size_t memory_usage(RedisModuleKeyOptCtx *ctx, const void *value, size_t sample_size) {
    (void)ctx;
    (void)sample_size;
    return registry_bytes(value);
}

static size_t free_effort(RedisModuleKeyOptCtx *ctx, const void *value) {
    (void)ctx;
    return stock_describe(((const bucket_entry *)value)->bucket).allocations;
}

int bucket_type_register(RedisModuleCtx *ctx) {
    RedisModuleTypeMethods methods = {
        .version = REDISMODULE_TYPE_METHOD_VERSION,
        .rdb_load = load,
        .rdb_save = save,
        .aof_rewrite = rewrite,
        .digest = digest,
        .free = release,
        .free_effort2 = free_effort,
        .unlink2 = unlink_value,
        .copy2 = copy,
        .mem_usage2 = memory_usage,
    };
    bucket_type = RedisModule_CreateDataType(ctx, BUCKET_TYPE_NAME, BUCKET_ENCODING_VERSION, &methods);
    return bucket_type == NULL ? REDISMODULE_ERR : REDISMODULE_OK;
}
