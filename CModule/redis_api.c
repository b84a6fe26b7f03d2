#include "redis_api.h"

#define REDIS_API_DEFINE(result, name, arguments) result(*RedisModule_##name) arguments;
REDIS_API_FUNCTIONS(REDIS_API_DEFINE)
REDIS_API_LATER_FUNCTIONS(REDIS_API_DEFINE)

const char *redis_api_load(RedisModuleCtx *ctx) {
    // The one entry that the server hands over: the first word of the context is the look-up function.
    int (*get_api)(const char *, void *) = *(int (**)(const char *, void *))ctx;
    const char *missing = NULL;
#define REDIS_API_LOOK_UP(result, name, arguments)                                                                     \
    if (get_api("RedisModule_" #name, &RedisModule_##name) != REDISMODULE_OK && missing == NULL)                       \
        missing = "RedisModule_" #name;
    REDIS_API_FUNCTIONS(REDIS_API_LOOK_UP)
#define REDIS_API_LOOK_UP_LATER(result, name, arguments)                                                               \
    if (get_api("RedisModule_" #name, &RedisModule_##name) != REDISMODULE_OK)                                          \
        RedisModule_##name = NULL;
    REDIS_API_LATER_FUNCTIONS(REDIS_API_LOOK_UP_LATER)
    return missing;
}
