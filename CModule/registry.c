#include "registry.h"
#include "doorbuster_module.h"
#include <pthread.h>

enum { QUEUE_CAPACITY_MIN = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bucket_entry *first;
static size_t count;
// A heap, the entry whose hold is due first on top.
static bucket_entry **queue;
static size_t queue_count;
static size_t queue_capacity;

// MARK: The queue of holds

static void put(bucket_entry *entry, size_t place) {
    queue[place] = entry;
    entry->queue_place = place;
}

static void rise(bucket_entry *entry, size_t place) {
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (queue[parent]->due <= entry->due)
            break;
        put(queue[parent], place);
        place = parent;
    }
    put(entry, place);
}

static void sink(bucket_entry *entry, size_t place) {
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= queue_count)
            break;
        if (child + 1 < queue_count && queue[child + 1]->due < queue[child]->due)
            child++;
        if (queue[child]->due >= entry->due)
            break;
        put(queue[child], place);
        place = child;
    }
    put(entry, place);
}

static void settle_at(bucket_entry *entry, size_t place) {
    if (place > 0 && queue[(place - 1) / 2]->due > entry->due)
        rise(entry, place);
    else
        sink(entry, place);
}

static void make_room(void) {
    if (queue_count < queue_capacity)
        return;
    queue_capacity = queue_capacity == 0 ? QUEUE_CAPACITY_MIN : 2 * queue_capacity;
    bucket_entry **larger = RedisModule_Alloc(queue_capacity * sizeof *larger);
    if (queue_count > 0)
        memcpy(larger, queue, queue_count * sizeof *larger);
    RedisModule_Free(queue);
    queue = larger;
}

static void enqueue(bucket_entry *entry, int64_t due) {
    make_room();
    entry->due = due;
    queue_count++;
    rise(entry, queue_count - 1);
}

static void dequeue(bucket_entry *entry) {
    if (entry->due == 0)
        return;
    entry->due = 0;
    bucket_entry *last = queue[--queue_count];
    if (last != entry)
        settle_at(last, entry->queue_place);
}

static void requeue(bucket_entry *entry, int64_t due) {
    if (due == 0) {
        dequeue(entry);
    } else if (entry->due == 0) {
        enqueue(entry, due);
    } else {
        entry->due = due;
        settle_at(entry, entry->queue_place);
    }
}

void registry_requeue(bucket_entry *entry, int64_t due) {
    pthread_mutex_lock(&lock);
    requeue(entry, due);
    pthread_mutex_unlock(&lock);
    if (due != 0)
        expiry_wake();
}

int64_t registry_next_due(void) {
    pthread_mutex_lock(&lock);
    int64_t due = queue_count == 0 ? 0 : queue[0]->due;
    pthread_mutex_unlock(&lock);
    return due;
}

RedisModuleString *registry_first_due(RedisModuleCtx *ctx, int64_t now, int *db, bucket_entry **entry) {
    RedisModuleString *name = NULL;
    pthread_mutex_lock(&lock);
    if (queue_count > 0 && queue[0]->due <= now) {
        *entry = queue[0];
        *db = queue[0]->db;
        name = RedisModule_CreateString(ctx, queue[0]->name, queue[0]->name_bytes);
    }
    pthread_mutex_unlock(&lock);
    return name;
}

void registry_drop_first(const bucket_entry *entry) {
    pthread_mutex_lock(&lock);
    // If it is there still, it was not freed.
    if (queue_count > 0 && queue[0] == entry) {
        queue[0]->is_lost = true;
        dequeue(queue[0]);
    }
    pthread_mutex_unlock(&lock);
}

// MARK: Where buckets live

static void set_name(bucket_entry *entry, const RedisModuleString *name) {
    const char *bytes = RedisModule_StringPtrLen(name, &entry->name_bytes);
    entry->name = RedisModule_Alloc(entry->name_bytes);
    memcpy(entry->name, bytes, entry->name_bytes);
}

bucket_entry *registry_add(stock_bucket *bucket, int db, const RedisModuleString *name) {
    bucket_entry *entry = RedisModule_Alloc(sizeof *entry);
    *entry = (bucket_entry){.bucket = bucket, .db = db};
    set_name(entry, name);
    pthread_mutex_lock(&lock);
    entry->next = first;
    if (first != NULL)
        first->previous = entry;
    first = entry;
    count++;
    pthread_mutex_unlock(&lock);
    registry_note(entry);
    return entry;
}

void registry_free(bucket_entry *entry) {
    pthread_mutex_lock(&lock);
    dequeue(entry);
    if (entry->previous != NULL)
        entry->previous->next = entry->next;
    else
        first = entry->next;
    if (entry->next != NULL)
        entry->next->previous = entry->previous;
    count--;
    pthread_mutex_unlock(&lock);
    stock_free(entry->bucket);
    RedisModule_Free(entry->name);
    RedisModule_Free(entry);
}

void registry_place(bucket_entry *entry, int db, const RedisModuleString *name) {
    pthread_mutex_lock(&lock);
    RedisModule_Free(entry->name);
    set_name(entry, name);
    entry->db = db;
    entry->is_lost = false;
    pthread_mutex_unlock(&lock);
    registry_note(entry);
}

static void lose(bucket_entry *entry) {
    entry->is_lost = true;
    dequeue(entry);
}

void registry_lose(bucket_entry *entry) {
    pthread_mutex_lock(&lock);
    lose(entry);
    pthread_mutex_unlock(&lock);
}

void registry_lose_database(int db) {
    pthread_mutex_lock(&lock);
    for (bucket_entry *entry = first; entry != NULL; entry = entry->next) {
        if (db == -1 || entry->db == db)
            lose(entry);
    }
    pthread_mutex_unlock(&lock);
}

void registry_swap_databases(int a, int b) {
    pthread_mutex_lock(&lock);
    for (bucket_entry *entry = first; entry != NULL; entry = entry->next) {
        if (entry->db == a)
            entry->db = b;
        else if (entry->db == b)
            entry->db = a;
    }
    pthread_mutex_unlock(&lock);
}

// MARK: All buckets

size_t registry_count(void) {
    pthread_mutex_lock(&lock);
    size_t now = count;
    pthread_mutex_unlock(&lock);
    return now;
}

size_t registry_count_frozen(void) {
    size_t frozen = 0;
    pthread_mutex_lock(&lock);
    for (bucket_entry *entry = first; entry != NULL; entry = entry->next)
        frozen += stock_describe(entry->bucket).frozen != STOCK_FROZEN_NO;
    pthread_mutex_unlock(&lock);
    return frozen;
}

void registry_freeze_anew(RedisModuleCtx *ctx, stock_freeze_reason reason, uint64_t seed) {
    int selected = RedisModule_GetSelectedDb(ctx);
    pthread_mutex_lock(&lock);
    for (bucket_entry *entry = first; entry != NULL; entry = entry->next) {
        stock_freeze_anew(entry->bucket, reason, seed);
        dequeue(entry);
        RedisModuleString *name = RedisModule_CreateString(ctx, entry->name, entry->name_bytes);
        RedisModule_SelectDb(ctx, entry->db);
        RedisModule_SignalModifiedKey(ctx, name);
        RedisModule_FreeString(ctx, name);
    }
    pthread_mutex_unlock(&lock);
    RedisModule_SelectDb(ctx, selected);
}

RedisModuleString *registry_find_incomplete(RedisModuleCtx *ctx, int *db) {
    RedisModuleString *name = NULL;
    pthread_mutex_lock(&lock);
    for (bucket_entry *entry = first; entry != NULL && name == NULL; entry = entry->next) {
        if (entry->is_lost || stock_is_whole(entry->bucket))
            continue;
        *db = entry->db;
        name = RedisModule_CreateString(ctx, entry->name, entry->name_bytes);
        lose(entry);
    }
    pthread_mutex_unlock(&lock);
    return name;
}

size_t registry_bytes(const bucket_entry *entry) {
    return stock_describe(entry->bucket).bytes + sizeof *entry + entry->name_bytes;
}
