#pragma once
#include "redis_api.h"

typedef struct command {
    const char *name;
    RedisModuleCmdFunc run;
    const char *flags;
    int arity;
    uint64_t key_flags;
    const char *summary;
    const char *complexity;
    RedisModuleCommandArg *arguments;
} command;

const command *command_table(size_t *count);
