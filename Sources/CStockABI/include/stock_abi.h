#pragma once
// What both halves of doorbuster.so share: the words of the protocol, its limits, plain structs, and the functions that
// the Swift half (Sources/StockCore) implements for the C half (CModule). Nothing here knows Redis.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma clang assume_nonnull begin

// The words of the protocol: the enumerator in C, its case in Swift, the word on the wire. No other list of them
// exists.
#define STOCK_STATUSES(X)                                                                                              \
    X(STOCK_OK, ok, "OK")                                                                                              \
    X(STOCK_DUPLICATE, duplicate, "DUPLICATE")                                                                         \
    X(STOCK_CANCELLED, cancelled, "CANCELLED")                                                                         \
    X(STOCK_EARLY, early, "EARLY")                                                                                     \
    X(STOCK_CLOSED, closed, "CLOSED")                                                                                  \
    X(STOCK_LIMIT, limit, "LIMIT")                                                                                     \
    X(STOCK_SOLDOUT, soldOut, "SOLDOUT")                                                                               \
    X(STOCK_LIVE, live, "LIVE")                                                                                        \
    X(STOCK_UNKNOWN, unknown, "UNKNOWN")

#define STOCK_ACTIONS(X)                                                                                               \
    X(STOCK_ACTION_CREATE, create, "create")                                                                           \
    X(STOCK_ACTION_ADD, add, "add")                                                                                    \
    X(STOCK_ACTION_DEDUCT, deduct, "deduct")                                                                           \
    X(STOCK_ACTION_CANCEL, cancel, "cancel")                                                                           \
    X(STOCK_ACTION_FENCE, fence, "fence")                                                                              \
    X(STOCK_ACTION_SCHEDULE, schedule, "schedule")

#define STOCK_STATES(X)                                                                                                \
    X(STOCK_STATE_SOLD, sold, "sold")                                                                                  \
    X(STOCK_STATE_CANCELLED, cancelled, "cancelled")

// Faults of a request or of a payload: the error's code and what it means. They are errors of the protocol, not
// statuses.
#define STOCK_FAULTS(X)                                                                                                \
    X(STOCK_FAULT_NONE, none, "", "")                                                                                  \
    X(STOCK_FAULT_MISMATCH, tokenMismatch, "TOKENMISMATCH", "the token was first sent with another user or quantity")  \
    X(STOCK_FAULT_OVERFLOW, overflow, "OVERFLOW", "a total would pass 9007199254740992, or the log is full")           \
    X(STOCK_FAULT_AHEAD, ahead, "AHEAD", "the position is beyond the bucket's last event")                             \
    X(STOCK_FAULT_TRIMMED, trimmed, "TRIMMED", "events after the position are gone")                                   \
    X(STOCK_FAULT_EPOCH, epochMismatch, "EPOCHMISMATCH", "the bucket is in another epoch")                             \
    X(STOCK_FAULT_DAMAGED, damaged, "DAMAGED", "the payload is damaged")                                               \
    X(STOCK_FAULT_VERSION, version, "VERSION", "the payload is of a version that this module can't read")              \
    X(STOCK_FAULT_STEP, outOfStep, "OUTOFSTEP", "the change doesn't follow the bucket's last event")

#define STOCK_CASE(c, swift, word) c __attribute__((swift_name(#swift))),
#define STOCK_FAULT_CASE(c, swift, word, meaning) c __attribute__((swift_name(#swift))),
#define STOCK_CLOSED_ENUM __attribute__((enum_extensibility(closed)))

typedef enum STOCK_CLOSED_ENUM stock_status : uint8_t { STOCK_STATUSES(STOCK_CASE) } stock_status;
typedef enum STOCK_CLOSED_ENUM stock_action : uint8_t { STOCK_ACTIONS(STOCK_CASE) } stock_action;
typedef enum STOCK_CLOSED_ENUM stock_state : uint8_t { STOCK_STATES(STOCK_CASE) } stock_state;
typedef enum STOCK_CLOSED_ENUM stock_fault : uint8_t { STOCK_FAULTS(STOCK_FAULT_CASE) } stock_fault;

const char *stock_status_word(stock_status status);
const char *stock_action_word(stock_action action);
const char *stock_state_word(stock_state state);
const char *stock_fault_code(stock_fault fault);
const char *stock_fault_meaning(stock_fault fault);

// Bounds of what a request or a payload may say.
enum {
    STOCK_NAME_BYTES_MAX = 128,
    STOCK_BUCKETS_MAX = 16384,
    STOCK_LOG_COUNT_DEFAULT = 100,
    STOCK_LOG_COUNT_MAX = 10000,
    STOCK_HASH_KEY_BYTES = 16,
    STOCK_PAYLOAD_VERSION = 2,
    // No event encodes to more, and no change with what it sets.
    STOCK_EVENT_BYTES_MAX = 320,
    STOCK_CHANGE_BYTES_MAX = 512,
};
static const int64_t STOCK_NUMBER_MAX = 9007199254740992;
static const int64_t STOCK_TIME_MAX = 281474976710655;

// Where the core's memory comes from: the C library's unless the module sets Redis' own.
typedef struct stock_memory_functions {
    void *_Nonnull (*_Nonnull allocate)(size_t bytes);
    void (*_Nonnull release)(void *_Nullable memory);
} stock_memory_functions;
extern stock_memory_functions stock_memory;

static inline void *stock_allocate(size_t bytes) {
    return stock_memory.allocate(bytes);
}
static inline void stock_release(void *memory) {
    stock_memory.release(memory);
}
// Swift's own copying checks its count and would trap.
static inline void stock_copy(void *to, const void *from, size_t count) {
    memcpy(to, from, count);
}
static inline void stock_clear(void *memory, size_t count) {
    memset(memory, 0, count);
}
static inline bool stock_equal(const void *_Nullable a, const void *_Nullable b, size_t count) {
    return count == 0 || memcmp(a, b, count) == 0;
}

typedef struct stock_bytes {
    const void *_Nullable start;
    size_t count;
} stock_bytes;

// A time of 0 is none, a limit of 0 is none.
typedef struct stock_settings {
    int64_t buckets, limit, opens, closes;
} stock_settings;

// One event of the log. `quantity` is signed for add only; token and user have no start where the event has none. The
// bytes belong to the bucket and stay valid until its next change.
typedef struct stock_event {
    int64_t sequence, timestamp, from, to, quantity;
    stock_bytes token, user;
    stock_action action;
    bool off_sale;
} stock_event;

// What a command did: a fault, or a status with the available stock and the sequence to answer. `changed` says that
// an event was made, which must be propagated.
typedef struct stock_outcome {
    int64_t remaining, sequence;
    stock_status status;
    stock_fault fault;
    bool changed;
} stock_outcome;

// A token's first event and its state now. A fence has no user and no quantity. Of a trimmed event the token asked for,
// sequence, action and quantity are known alone.
typedef struct stock_purchase {
    stock_event event;
    stock_state state;
    bool is_trimmed;
} stock_purchase;

typedef struct stock_figures {
    int64_t created, added, available, sold, cancelled, epoch, tokens, log_first, log_last;
    stock_settings settings;
    uint64_t bytes, allocations;
} stock_figures;

// A place in the log: the event to be read next. `kept`: tokens of trimmed events that come before it.
typedef struct stock_cursor {
    uint64_t position;
    int64_t sequence;
    int64_t kept;
} stock_cursor;

typedef struct stock_bucket stock_bucket;

// A new bucket with its create event. `quantity` 0 to STOCK_NUMBER_MAX, `epoch` 1 to STOCK_NUMBER_MAX, `hash_key`
// STOCK_HASH_KEY_BYTES random bytes.
stock_bucket *stock_create(const stock_settings *settings, int64_t quantity, int64_t epoch, const void *hash_key,
                           int64_t now);
void stock_free(stock_bucket *bucket);

// The commands that change a bucket. Callers have checked the bounds of each argument; `now` is in milliseconds.
stock_outcome stock_schedule(stock_bucket *bucket, int64_t limit, int64_t opens, int64_t closes, int64_t now);
stock_outcome stock_deduct(stock_bucket *bucket, stock_bytes user, stock_bytes token, int64_t quantity, int64_t now);
stock_outcome stock_cancel(stock_bucket *bucket, stock_bytes token, bool fence, bool off_sale, int64_t now);
stock_outcome stock_fence(stock_bucket *bucket, stock_bytes token, int64_t now);
stock_outcome stock_add(stock_bucket *bucket, stock_bytes token, int64_t quantity, int64_t now);

// Drops the events up to `sequence`, in `epoch` (0 fits any), and tells how many. Faults: epochMismatch, ahead,
// overflow.
stock_fault stock_trim(stock_bucket *bucket, int64_t sequence, int64_t epoch, int64_t *dropped);

bool stock_get(const stock_bucket *bucket, stock_bytes token, stock_purchase *purchase);
stock_figures stock_describe(const stock_bucket *bucket);

// The cursor of the event after `after`; `epoch` 0 fits any.
stock_fault stock_log_seek(const stock_bucket *bucket, int64_t after, int64_t epoch, stock_cursor *cursor);
bool stock_log_next(const stock_bucket *bucket, stock_cursor *cursor, stock_event *event);

// Payloads: what a change propagates, what RDB and AOF keep. Each returns the bytes written.
// `stock_encode_change`: the last event with what it set, or the trim after it. `stock_encode_event`: one event.
// `stock_encode_kept`: the next token of a trimmed event, from a cursor of zeros, in at most STOCK_EVENT_BYTES_MAX; 0
// after the last.
// `stock_encode`: the whole bucket, part by part from a cursor of zeros, each at most `capacity` (at least
// STOCK_CHANGE_BYTES_MAX) bytes and each a payload of its own to be applied in order; 0 after the last.
size_t stock_encode_change(const stock_bucket *bucket, void *buffer);
size_t stock_encode_event(const stock_event *event, void *buffer);
size_t stock_encode_kept(const stock_bucket *bucket, stock_cursor *cursor, void *buffer);
size_t stock_encode(const stock_bucket *bucket, stock_cursor *cursor, void *buffer, size_t capacity);

// Applies a payload; `*bucket` NULL is a bucket to be made. After a fault the bucket holds the events before the
// faulty one, and is NULL if it was to be made and has none.
stock_fault stock_apply(stock_bucket *_Nullable *_Nonnull bucket, stock_bytes payload);
// Whether no part of a payload of several parts is missing that others refer to.
bool stock_is_whole(const stock_bucket *bucket);

#pragma clang assume_nonnull end
