#pragma once
// The grammar of arguments and the errors that name what was wrong. A function that returns false has replied.
#include "redis_api.h"
#include "stock_abi.h"

// A word behind the fixed arguments, with or without a number behind it.
typedef struct option {
    const char *word;
    // NULL for a word alone.
    int64_t *value;
    int64_t min, max;
    bool given;
} option;

// "ERR <what> is '<value>', must be <must>"; the value is shortened and made printable.
int reply_argument_error(RedisModuleCtx *ctx, const char *what, const RedisModuleString *value, const char *must);
// "<code> <what> '<value>': <text>"
int reply_named_error(RedisModuleCtx *ctx, const char *code, const char *what, const RedisModuleString *value,
                      const char *text);

// Decimal, without sign (but `-` where the least is negative), blanks, leading zeros or exponent.
bool parse_number(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument, int64_t min, int64_t max,
                  int64_t *number);
// A user or token: 1 to STOCK_NAME_BYTES_MAX bytes.
bool parse_name(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument, stock_bytes *name);
// All arguments from `first` on, in any order, each at most once.
bool parse_options(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, int first, option *options, size_t count);
