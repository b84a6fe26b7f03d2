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
    X(STOCK_FROZEN, frozen, "FROZEN")                                                                                  \
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
    X(STOCK_ACTION_HOLD, hold, "hold")                                                                                 \
    X(STOCK_ACTION_CONFIRM, confirm, "confirm")                                                                        \
    X(STOCK_ACTION_CANCEL, cancel, "cancel")                                                                           \
    X(STOCK_ACTION_EXPIRE, expire, "expire")                                                                           \
    X(STOCK_ACTION_FENCE, fence, "fence")                                                                              \
    X(STOCK_ACTION_WITHDRAW, withdraw, "withdraw")                                                                     \
    X(STOCK_ACTION_DEPOSIT, deposit, "deposit")                                                                        \
    X(STOCK_ACTION_REBALANCE, rebalance, "rebalance")                                                                  \
    X(STOCK_ACTION_RECORD, record, "record")                                                                           \
    X(STOCK_ACTION_SCHEDULE, schedule, "schedule")                                                                     \
    X(STOCK_ACTION_FREEZE, freeze, "freeze")                                                                           \
    X(STOCK_ACTION_THAW, thaw, "thaw")

#define STOCK_STATES(X)                                                                                                \
    X(STOCK_STATE_HELD, held, "held")                                                                                  \
    X(STOCK_STATE_SOLD, sold, "sold")                                                                                  \
    X(STOCK_STATE_CANCELLED, cancelled, "cancelled")

// What STOCK.RECORD writes in.
#define STOCK_RECORDINGS(X)                                                                                            \
    X(STOCK_RECORD_HELD, held, "held")                                                                                 \
    X(STOCK_RECORD_SOLD, sold, "sold")                                                                                 \
    X(STOCK_RECORD_CANCELLED, cancelled, "cancelled")                                                                  \
    X(STOCK_RECORD_REJECTED, rejected, "rejected")

// Why a bucket is frozen; an operator's freeze hides the others.
#define STOCK_FREEZES(X)                                                                                               \
    X(STOCK_FROZEN_NO, no, "no")                                                                                       \
    X(STOCK_FROZEN_OPERATOR, byOperator, "operator")                                                                   \
    X(STOCK_FROZEN_CREATE, create, "create")                                                                           \
    X(STOCK_FROZEN_PROMOTION, promotion, "promotion")                                                                  \
    X(STOCK_FROZEN_LOAD, load, "load")

#define STOCK_DIRECTIONS(X)                                                                                            \
    X(STOCK_TRANSFER_OUT, outgoing, "out")                                                                             \
    X(STOCK_TRANSFER_IN, incoming, "in")

// What an event did to the books, in the order of their numbers in payloads: the enumerator, its case, the action that
// the log shows. A record or a cancellation does one of several things by what was known of the token.
#define STOCK_EFFECTS(X)                                                                                               \
    X(STOCK_EFFECT_CREATE, create, STOCK_ACTION_CREATE)                                                                \
    X(STOCK_EFFECT_ADD, add, STOCK_ACTION_ADD)                                                                         \
    X(STOCK_EFFECT_DEDUCT, deduct, STOCK_ACTION_DEDUCT)                                                                \
    X(STOCK_EFFECT_HOLD, hold, STOCK_ACTION_HOLD)                                                                      \
    X(STOCK_EFFECT_CONFIRM, confirm, STOCK_ACTION_CONFIRM)                                                             \
    X(STOCK_EFFECT_CANCEL_HELD, cancelHeld, STOCK_ACTION_CANCEL)                                                       \
    X(STOCK_EFFECT_CANCEL_SOLD, cancelSold, STOCK_ACTION_CANCEL)                                                       \
    X(STOCK_EFFECT_REJECT_HELD, rejectHeld, STOCK_ACTION_CANCEL)                                                       \
    X(STOCK_EFFECT_REJECT_SOLD, rejectSold, STOCK_ACTION_CANCEL)                                                       \
    X(STOCK_EFFECT_EXPIRE, expire, STOCK_ACTION_EXPIRE)                                                                \
    X(STOCK_EFFECT_FENCE, fence, STOCK_ACTION_FENCE)                                                                   \
    X(STOCK_EFFECT_WITHDRAW, withdraw, STOCK_ACTION_WITHDRAW)                                                          \
    X(STOCK_EFFECT_DEPOSIT, deposit, STOCK_ACTION_DEPOSIT)                                                             \
    X(STOCK_EFFECT_REBALANCE_OUT, rebalanceOut, STOCK_ACTION_REBALANCE)                                                \
    X(STOCK_EFFECT_REBALANCE_IN, rebalanceIn, STOCK_ACTION_REBALANCE)                                                  \
    X(STOCK_EFFECT_RECORD_HELD, recordHeld, STOCK_ACTION_RECORD)                                                       \
    X(STOCK_EFFECT_RECORD_SOLD, recordSold, STOCK_ACTION_RECORD)                                                       \
    X(STOCK_EFFECT_RECORD_CANCELLED, recordCancelled, STOCK_ACTION_RECORD)                                             \
    X(STOCK_EFFECT_RECORD_REJECTED, recordRejected, STOCK_ACTION_RECORD)                                               \
    X(STOCK_EFFECT_RECORD_CONFIRM, recordConfirm, STOCK_ACTION_RECORD)                                                 \
    X(STOCK_EFFECT_RECORD_CANCEL_HELD, recordCancelHeld, STOCK_ACTION_RECORD)                                          \
    X(STOCK_EFFECT_RECORD_CANCEL_SOLD, recordCancelSold, STOCK_ACTION_RECORD)                                          \
    X(STOCK_EFFECT_RECORD_REJECT_HELD, recordRejectHeld, STOCK_ACTION_RECORD)                                          \
    X(STOCK_EFFECT_RECORD_REJECT_SOLD, recordRejectSold, STOCK_ACTION_RECORD)                                          \
    X(STOCK_EFFECT_RECORD_OUT, recordOut, STOCK_ACTION_RECORD)                                                         \
    X(STOCK_EFFECT_RECORD_IN, recordIn, STOCK_ACTION_RECORD)                                                           \
    X(STOCK_EFFECT_RECORD_RESTOCK, recordRestock, STOCK_ACTION_RECORD)                                                 \
    X(STOCK_EFFECT_SCHEDULE, schedule, STOCK_ACTION_SCHEDULE)                                                          \
    X(STOCK_EFFECT_FREEZE, freeze, STOCK_ACTION_FREEZE)                                                                \
    X(STOCK_EFFECT_THAW, thaw, STOCK_ACTION_THAW)

// Faults of a request or of a payload: the error's code and what it means. They are errors of the protocol, not
// statuses.
#define STOCK_FAULTS(X)                                                                                                \
    X(STOCK_FAULT_NONE, none, "", "")                                                                                  \
    X(STOCK_FAULT_MISMATCH, tokenMismatch, "TOKENMISMATCH", "the token was first sent with another user or quantity")  \
    X(STOCK_FAULT_TRANSFER, transferMismatch, "TRANSFERMISMATCH",                                                      \
      "the transfer is known with another peer, direction or quantity")                                                \
    X(STOCK_FAULT_OVERFLOW, overflow, "OVERFLOW", "a total would pass 9007199254740992, or the log is full")           \
    X(STOCK_FAULT_HOLD, holdTooLong, "OVERFLOW", "a hold must end by 9007199254740992, in milliseconds since 1970")    \
    X(STOCK_FAULT_AHEAD, ahead, "AHEAD", "the position is beyond the bucket's last event")                             \
    X(STOCK_FAULT_TRIMMED, trimmed, "TRIMMED", "events after the position are gone")                                   \
    X(STOCK_FAULT_EPOCH, epochMismatch, "EPOCHMISMATCH", "the bucket is in another epoch")                             \
    X(STOCK_FAULT_OPERATOR, frozenByOperator, "FROZENBYOPERATOR", "an operator has frozen the bucket")                 \
    X(STOCK_FAULT_FROZEN, frozen, "FROZEN", "the bucket is frozen")                                                    \
    X(STOCK_FAULT_DAMAGED, damaged, "DAMAGED", "the payload is damaged")                                               \
    X(STOCK_FAULT_VERSION, version, "VERSION", "the payload is of a version that this module can't read")              \
    X(STOCK_FAULT_STEP, outOfStep, "OUTOFSTEP", "the change doesn't follow the bucket's last event")

// What a change did to a bucket's being sold out.
#define STOCK_TURNS(X)                                                                                                 \
    X(STOCK_TURN_NONE, none, "")                                                                                       \
    X(STOCK_TURN_SOLDOUT, soldOut, "stock.soldout")                                                                    \
    X(STOCK_TURN_ONSALE, onSale, "stock.onsale")

#define STOCK_CASE(c, swift, word) c __attribute__((swift_name(#swift))),
#define STOCK_FAULT_CASE(c, swift, word, meaning) c __attribute__((swift_name(#swift))),
#define STOCK_CLOSED_ENUM __attribute__((enum_extensibility(closed)))

typedef enum STOCK_CLOSED_ENUM stock_status : uint8_t { STOCK_STATUSES(STOCK_CASE) } stock_status;
typedef enum STOCK_CLOSED_ENUM stock_action : uint8_t { STOCK_ACTIONS(STOCK_CASE) } stock_action;
typedef enum STOCK_CLOSED_ENUM stock_state : uint8_t { STOCK_STATES(STOCK_CASE) } stock_state;
typedef enum STOCK_CLOSED_ENUM stock_recording : uint8_t { STOCK_RECORDINGS(STOCK_CASE) } stock_recording;
typedef enum STOCK_CLOSED_ENUM stock_freeze_reason : uint8_t { STOCK_FREEZES(STOCK_CASE) } stock_freeze_reason;
typedef enum STOCK_CLOSED_ENUM stock_direction : uint8_t { STOCK_DIRECTIONS(STOCK_CASE) } stock_direction;
typedef enum STOCK_CLOSED_ENUM stock_effect : uint8_t { STOCK_EFFECTS(STOCK_CASE) } stock_effect;
typedef enum STOCK_CLOSED_ENUM stock_fault : uint8_t { STOCK_FAULTS(STOCK_FAULT_CASE) } stock_fault;
typedef enum STOCK_CLOSED_ENUM stock_turn : uint8_t { STOCK_TURNS(STOCK_CASE) } stock_turn;

const char *stock_status_word(stock_status status);
const char *stock_action_word(stock_action action);
const char *stock_state_word(stock_state state);
const char *stock_recording_word(stock_recording recording);
const char *stock_freeze_word(stock_freeze_reason reason);
const char *stock_direction_word(stock_direction direction);
stock_action stock_effect_action(stock_effect effect);
const char *stock_fault_code(stock_fault fault);
const char *stock_fault_meaning(stock_fault fault);
// The name of the keyspace event.
const char *stock_turn_word(stock_turn turn);

// How many statuses there are, and bounds of what a request or a payload may say.
enum {
    STOCK_STATUS_COUNT = STOCK_UNKNOWN + 1,
    STOCK_NAME_BYTES_MAX = 128,
    STOCK_TRANSFER_BYTES_MAX = 192,
    STOCK_BUCKETS_MAX = 16384,
    STOCK_LOG_COUNT_DEFAULT = 100,
    STOCK_LOG_COUNT_MAX = 10000,
    STOCK_HASH_KEY_BYTES = 16,
    STOCK_PAYLOAD_VERSION = 3,
    // No event encodes to more, and no change of one event with what it sets.
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
// Fetches what will soon be read and written into the cache.
static inline void stock_prefetch(const void *memory) {
    __builtin_prefetch(memory, 1);
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

// One event of the log. `quantity` is signed for restocks only, `expires` is of a hold; token (or a transfer's name)
// and user have no start where the event has none, `peer` is a transfer's. The bytes belong to the bucket and stay
// valid until its next change.
typedef struct stock_event {
    int64_t sequence, timestamp, from, to, quantity, expires;
    stock_bytes token, user;
    uint16_t peer;
    stock_effect effect;
} stock_event;

// What a command did: a fault, or a status with two numbers to answer: the available stock (of a withdrawal the units
// moved) and a sequence. `changed` says that something is to be propagated, even with a refusal or a fault: holds that
// were due have expired. `events` counts what was added to the log, expiries included.
typedef struct stock_outcome {
    int64_t remaining, sequence;
    stock_status status;
    stock_fault fault;
    stock_turn turn;
    bool changed;
    uint32_t events;
} stock_outcome;

// A token's first event and its state now; `expires` is 0 unless it is held until then. A fence has no user and no
// quantity. Of a trimmed event that is no hold, the token asked for, sequence and quantity are known alone.
typedef struct stock_purchase {
    stock_event event;
    stock_state state;
    bool is_trimmed, is_fence;
} stock_purchase;

// A transfer as its bucket knows it. The name belongs to the bucket and stays valid until its next change.
typedef struct stock_transfer {
    stock_bytes name;
    int64_t quantity, timestamp, sequence;
    uint16_t peer;
    stock_direction direction;
    bool is_settled;
} stock_transfer;

typedef struct stock_figures {
    int64_t created, added, available, held, sold, cancelled, transferred_in, transferred_out;
    int64_t epoch, tokens, transfers, log_first, log_last;
    stock_settings settings;
    stock_freeze_reason frozen;
    uint64_t bytes, allocations;
} stock_figures;

// A place in a reading that the core alone understands; it begins with zeros.
typedef struct stock_cursor {
    uint64_t position;
    int64_t sequence;
    int64_t rest;
    int64_t phase;
} stock_cursor;

typedef struct stock_bucket stock_bucket;

// A new bucket with its create event. `quantity` 0 to STOCK_NUMBER_MAX, `epoch` 1 to STOCK_NUMBER_MAX, `hash_key`
// STOCK_HASH_KEY_BYTES random bytes.
stock_bucket *stock_create(const stock_settings *settings, int64_t quantity, bool frozen, int64_t epoch,
                           const void *hash_key, int64_t now);
void stock_free(stock_bucket *bucket);

// The hash of a purchase's token; what looking it up will read is on its way into the cache, while the caller goes on.
uint64_t stock_look_ahead(const stock_bucket *bucket, stock_bytes token);

// The commands that change a bucket. Callers have checked the bounds of each argument; `now` is in milliseconds.
// `hold`: milliseconds, 0 for none. `hash`: what `stock_look_ahead` gave for the bucket and token.
stock_outcome stock_schedule(stock_bucket *bucket, int64_t limit, int64_t opens, int64_t closes, int64_t now);
stock_outcome stock_deduct(stock_bucket *bucket, stock_bytes user, stock_bytes token, uint64_t hash, int64_t quantity,
                           int64_t hold, int64_t now);
stock_outcome stock_confirm(stock_bucket *bucket, stock_bytes token, int64_t now);
stock_outcome stock_cancel(stock_bucket *bucket, stock_bytes token, bool fence, bool off_sale, int64_t now);
stock_outcome stock_fence(stock_bucket *bucket, stock_bytes token, int64_t now);
stock_outcome stock_add(stock_bucket *bucket, stock_bytes token, int64_t quantity, int64_t now);

stock_outcome stock_withdraw(stock_bucket *bucket, stock_bytes transfer, int64_t quantity, uint16_t to, int64_t now);
stock_outcome stock_deposit(stock_bucket *bucket, stock_bytes transfer, int64_t quantity, uint16_t from, int64_t now);
stock_outcome stock_settle(stock_bucket *bucket, stock_bytes transfer);

// `epoch` 0: none was given.
stock_outcome stock_freeze(stock_bucket *bucket, int64_t now);
stock_outcome stock_thaw(stock_bucket *bucket, int64_t epoch, int64_t now);
stock_outcome stock_record(stock_bucket *bucket, stock_bytes user, stock_bytes token, int64_t quantity,
                           stock_recording as, int64_t now);
stock_outcome stock_record_transfer(stock_bucket *bucket, stock_bytes transfer, stock_direction direction,
                                    uint16_t peer, int64_t quantity, int64_t now);
stock_outcome stock_record_restock(stock_bucket *bucket, stock_bytes token, int64_t quantity, int64_t now);

// Shares the available stock of different buckets out, evenly or by `weights` (0 to STOCK_NUMBER_MAX each, not all 0),
// and sets each bucket's outcome: `changed` where a bucket gained or lost. A fault (`frozen`, `overflow`) changes none
// and
// `*culprit` is its bucket's index.
stock_fault stock_rebalance(stock_bucket *_Nonnull const *_Nonnull buckets, size_t count,
                            const int64_t *_Nullable weights, int64_t now, stock_outcome *outcomes, size_t *culprit);

// When the next hold is due, 0 if none is or the bucket is frozen.
int64_t stock_next_expiry(const stock_bucket *bucket);
// Expires at most `count` holds that are due; the outcome is `ok`, `changed` where one was.
stock_outcome stock_expire(stock_bucket *bucket, int64_t count, int64_t now);

// Drops the events up to `sequence`, in `epoch` (0 fits any), and tells how many. Faults: epochMismatch, ahead,
// overflow.
stock_fault stock_trim(stock_bucket *bucket, int64_t sequence, int64_t epoch, int64_t *dropped);

// The freeze of all buckets of a server: each gets the reason and a new epoch, which follows from the random seed and
// its hash key, so that applied twice it changes nothing more. No event is made and nothing of the bucket is to be
// propagated; the payload of the freeze is, once.
void stock_freeze_anew(stock_bucket *bucket, stock_freeze_reason reason, uint64_t seed);
size_t stock_encode_freeze(stock_freeze_reason reason, uint64_t seed, void *buffer);
// False where the payload is no such freeze.
bool stock_decode_freeze(stock_bytes payload, stock_freeze_reason *reason, uint64_t *seed);

bool stock_get(const stock_bucket *bucket, stock_bytes token, stock_purchase *purchase);
stock_figures stock_describe(const stock_bucket *bucket);

// The cursor of the event after `after`; `epoch` 0 fits any.
stock_fault stock_log_seek(const stock_bucket *bucket, int64_t after, int64_t epoch, stock_cursor *cursor);
bool stock_log_next(const stock_bucket *bucket, stock_cursor *cursor, stock_event *event);

// The transfers in order of making, open ones or all, after one of them (no start: from the first). False where the
// bucket does not know it.
bool stock_transfers_seek(const stock_bucket *bucket, stock_bytes after, bool all, stock_cursor *cursor);
bool stock_transfers_next(const stock_bucket *bucket, stock_cursor *cursor, stock_transfer *transfer);

// Payloads: what a change propagates, what RDB and AOF keep. Each returns the bytes written.
// `stock_encode_change`: what the last call changed, in at most `stock_change_bytes` bytes (STOCK_CHANGE_BYTES_MAX
// where one event was made or none), while that call's arguments are still there. Not to be called where nothing
// changed. `stock_encode_event`: one event. `stock_encode`: the whole bucket, part by part from a cursor of zeros, each
// at most `capacity` (at least STOCK_CHANGE_BYTES_MAX) bytes and each a payload of its own to be applied in order; 0
// after the last.
size_t stock_change_bytes(const stock_bucket *bucket);
size_t stock_encode_change(const stock_bucket *bucket, void *buffer);
size_t stock_encode_event(const stock_event *event, void *buffer);
size_t stock_encode(const stock_bucket *bucket, stock_cursor *cursor, void *buffer, size_t capacity);
// Two sums over the tokens of trimmed events and over the transfers, the same in whatever order they lie.
void stock_digest(const stock_bucket *bucket, uint64_t sums[_Nonnull 2]);

// Applies a payload; `*bucket` NULL is a bucket to be made. After a fault the bucket holds the events before the
// faulty one, and is NULL if it was to be made and has none.
stock_fault stock_apply(stock_bucket *_Nullable *_Nonnull bucket, stock_bytes payload, stock_turn *turn);
// Whether no part of a payload of several parts is missing that others refer to.
bool stock_is_whole(const stock_bucket *bucket);

#pragma clang assume_nonnull end
