#pragma once
// All buckets of this server: where each lives, and which of them has the next hold to expire. Redis may free a value
// in a thread of its own, so whatever lies behind the functions here is locked; a bucket itself is the main thread's
// alone as long as its key holds it.
#include "redis_api.h"
#include "stock_abi.h"

// The value of a key.
typedef struct bucket_entry {
    stock_bucket *bucket;
    // When the next hold is due, as the queue of holds has it; 0: it is not in the queue.
    int64_t due;
    // Whether the key was taken away from the value since its place was noted: it is gone, or moved.
    bool is_lost;
    // Database and key where the value was put last. Only opening the key tells whether it is still there.
    int db;
    char *name;
    size_t name_bytes;
    size_t queue_place;
    // The last walk that came by, so that it knows where it has been.
    uint64_t visit;
    struct bucket_entry *previous, *next;
} bucket_entry;

// Takes the bucket over.
bucket_entry *registry_add(stock_bucket *bucket, int db, const RedisModuleString *name);
// Frees the bucket; in any thread.
void registry_free(bucket_entry *entry);

void registry_place(bucket_entry *entry, int db, const RedisModuleString *name);
void registry_lose(bucket_entry *entry);
// All buckets of a database, or of all (-1), are about to go.
void registry_lose_database(int db);
void registry_swap_databases(int a, int b);

void registry_requeue(bucket_entry *entry, int64_t due);
// To be called after each change of a bucket: its next hold may be another one.
static inline void registry_note(bucket_entry *entry) {
    int64_t due = stock_next_expiry(entry->bucket);
    if (__builtin_expect(due != entry->due, 0))
        registry_requeue(entry, due);
}
// When the next hold of all buckets is due, 0 if none is.
int64_t registry_next_due(void);
// Where the bucket should live whose hold is due first, or NULL if no hold is due by then. The name is the caller's to
// free. The entry may be used only once its key was opened and found to hold it.
RedisModuleString *registry_first_due(RedisModuleCtx *ctx, int64_t now, int *db, bucket_entry **entry);
// Takes an entry out of the queue that was first in it and is not where it should be.
void registry_drop_first(const bucket_entry *entry);

size_t registry_count(void);
size_t registry_count_frozen(void);
// Freezes all buckets, wherever they are.
void registry_freeze_anew(RedisModuleCtx *ctx, stock_freeze_reason reason, uint64_t seed);
// Where a bucket should live some parts of which are missing, which then counts as lost; NULL where there is none. The
// name is the caller's to free.
RedisModuleString *registry_find_incomplete(RedisModuleCtx *ctx, int *db);

size_t registry_bytes(const bucket_entry *entry);
