#pragma once
// The grammar of arguments and the errors that name what was wrong. A function that returns false has replied.
#include "redis_api.h"
#include "stock_abi.h"

// A word behind the fixed arguments: alone, or with a number or a transfer's name behind it.
typedef struct option {
    const char *word;
    int64_t *value;
    int64_t min, max;
    stock_bytes *name;
    bool given;
} option;

// A value shortened and made printable, for messages and the log: a line break would end either.
enum { SHOWN_BYTES = 48 };
typedef struct shown_value {
    char text[SHOWN_BYTES + 4];
} shown_value;
shown_value show(stock_bytes value);
stock_bytes bytes_of(const RedisModuleString *value);

// "ERR <what> is '<value>', must be <must>"; the value is shortened and made printable.
int reply_argument_error(RedisModuleCtx *ctx, const char *what, const RedisModuleString *value, const char *must);
int reply_value_error(RedisModuleCtx *ctx, const char *what, stock_bytes value, const char *must);
// "<code> <what> '<value>': <text>"
int reply_named_error(RedisModuleCtx *ctx, const char *code, const char *what, const RedisModuleString *value,
                      const char *text);

// Decimal, without sign (but `-` where the least is negative), blanks, leading zeros or exponent.
bool parse_number(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument, int64_t min, int64_t max,
                  int64_t *number);
bool refuse_name(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument, size_t bytes_max,
                 size_t count);
static inline bool parse_bytes(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument,
                               size_t bytes_max, stock_bytes *bytes) {
    bytes->start = RedisModule_StringPtrLen(argument, &bytes->count);
    return (bytes->count >= 1 && bytes->count <= bytes_max) ||
           refuse_name(ctx, what, argument, bytes_max, bytes->count);
}
// A user or token: 1 to STOCK_NAME_BYTES_MAX bytes.
static inline bool parse_name(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument,
                              stock_bytes *name) {
    return parse_bytes(ctx, what, argument, STOCK_NAME_BYTES_MAX, name);
}
// A transfer's name: 1 to STOCK_TRANSFER_BYTES_MAX bytes.
static inline bool parse_transfer(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument,
                                  stock_bytes *name) {
    return parse_bytes(ctx, what, argument, STOCK_TRANSFER_BYTES_MAX, name);
}
// The units of a restock: positive or negative.
bool parse_restock_quantity(RedisModuleCtx *ctx, const RedisModuleString *argument, int64_t *quantity);
// One of the words, in any case; `*index` tells which.
bool parse_word(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument, const char *const *words,
                size_t count, size_t *index);
bool is_word(const RedisModuleString *argument, const char *word);
// All arguments from `first` on, in any order, each at most once.
bool parse_options(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, int first, option *options, size_t count);
