#pragma once
// The part of the Redis module API that this module uses, declared from its documentation. Every function is looked up
// at load. The library refuses to load where one of Redis 7.0 is missing; one of a later version is NULL then.
#include <stddef.h>
#include <stdint.h>

#define REDISMODULE_OK 0
#define REDISMODULE_ERR 1
#define REDISMODULE_APIVER_1 1
#define REDISMODULE_READ (1 << 0)
#define REDISMODULE_WRITE (1 << 1)
#define REDISMODULE_OPEN_KEY_NOTOUCH (1 << 16)
#define REDISMODULE_KEYTYPE_EMPTY 0
#define REDISMODULE_REPLY_STRING 0
#define REDISMODULE_REPLY_ARRAY 3
#define REDISMODULE_POSTPONED_LEN (-1)
#define REDISMODULE_CTX_FLAGS_SLAVE (1 << 3)
#define REDISMODULE_CTX_FLAGS_REPLICATED (1 << 12)
#define REDISMODULE_CTX_FLAGS_LOADING (1 << 13)
#define REDISMODULE_OPTIONS_HANDLE_IO_ERRORS (1 << 0)
#define REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED (1 << 1)
#define REDISMODULE_OPTIONS_HANDLE_REPL_ASYNC_LOAD (1 << 2)
#define REDISMODULE_TYPE_METHOD_VERSION 4
#define REDISMODULE_CONFIG_DEFAULT 0
#define REDISMODULE_NOTIFY_GENERIC (1 << 2)
#define REDISMODULE_NOTIFY_MODULE (1 << 13)
#define REDISMODULE_NODE_ID_LEN 40
#define REDISMODULE_NODE_MASTER (1 << 1)

#define REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED 0
#define REDISMODULE_EVENT_FLUSHDB 2
#define REDISMODULE_EVENT_LOADING 3
#define REDISMODULE_EVENT_CRON_LOOP 8
#define REDISMODULE_EVENT_SWAPDB 11
#define REDISMODULE_EVENT_EVENTLOOP 15
#define REDISMODULE_EVENT_REPLROLECHANGED_NOW_MASTER 0
#define REDISMODULE_SUBEVENT_FLUSHDB_START 0
#define REDISMODULE_SUBEVENT_LOADING_RDB_START 0
#define REDISMODULE_SUBEVENT_LOADING_AOF_START 1
#define REDISMODULE_SUBEVENT_LOADING_REPL_START 2
#define REDISMODULE_SUBEVENT_LOADING_ENDED 3
#define REDISMODULE_SUBEVENT_LOADING_FAILED 4
#define REDISMODULE_SUBEVENT_EVENTLOOP_BEFORE_SLEEP 0
#define REDISMODULE_ERRORMSG_WRONGTYPE "WRONGTYPE Operation against a key holding the wrong kind of value"

#define REDISMODULE_CMD_KEY_RO (1ULL << 0)
#define REDISMODULE_CMD_KEY_RW (1ULL << 1)
#define REDISMODULE_CMD_KEY_ACCESS (1ULL << 4)
#define REDISMODULE_CMD_KEY_UPDATE (1ULL << 5)
#define REDISMODULE_CMD_KEY_INSERT (1ULL << 6)
#define REDISMODULE_CMD_KEY_INCOMPLETE (1ULL << 9)
#define REDISMODULE_CMD_ARG_OPTIONAL (1 << 0)
#define REDISMODULE_CMD_ARG_MULTIPLE (1 << 1)

typedef struct RedisModuleCtx RedisModuleCtx;
typedef struct RedisModuleKey RedisModuleKey;
typedef struct RedisModuleString RedisModuleString;
typedef struct RedisModuleIO RedisModuleIO;
typedef struct RedisModuleType RedisModuleType;
typedef struct RedisModuleDigest RedisModuleDigest;
typedef struct RedisModuleInfoCtx RedisModuleInfoCtx;
typedef struct RedisModuleServerInfoData RedisModuleServerInfoData;
typedef struct RedisModuleCommand RedisModuleCommand;
typedef struct RedisModuleKeyOptCtx RedisModuleKeyOptCtx;
typedef struct RedisModuleCallReply RedisModuleCallReply;
typedef uint64_t RedisModuleTimerID;

typedef struct RedisModuleEvent {
    uint64_t id;
    uint64_t version;
} RedisModuleEvent;

// What comes with the events of FLUSHDB and FLUSHALL (-1: all databases), and of SWAPDB.
typedef struct RedisModuleFlushInfo {
    uint64_t version;
    int32_t sync;
    int32_t dbnum;
} RedisModuleFlushInfo;
typedef struct RedisModuleSwapDbInfo {
    uint64_t version;
    int32_t dbnum_first;
    int32_t dbnum_second;
} RedisModuleSwapDbInfo;

typedef int (*RedisModuleCmdFunc)(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
typedef void (*RedisModuleInfoFunc)(RedisModuleInfoCtx *ctx, int for_crash_report);
typedef void (*RedisModuleTimerProc)(RedisModuleCtx *ctx, void *data);
typedef void (*RedisModuleEventCallback)(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data);
typedef int (*RedisModuleNotificationFunc)(RedisModuleCtx *ctx, int type, const char *event, RedisModuleString *key);
typedef int (*RedisModuleConfigGetEnumFunc)(const char *name, void *data);
typedef int (*RedisModuleConfigSetEnumFunc)(const char *name, int value, void *data, RedisModuleString **error);
typedef int (*RedisModuleConfigApplyFunc)(RedisModuleCtx *ctx, void *data, RedisModuleString **error);

typedef enum {
    REDISMODULE_ARG_TYPE_STRING,
    REDISMODULE_ARG_TYPE_INTEGER,
    REDISMODULE_ARG_TYPE_DOUBLE,
    REDISMODULE_ARG_TYPE_KEY,
    REDISMODULE_ARG_TYPE_PATTERN,
    REDISMODULE_ARG_TYPE_UNIX_TIME,
    REDISMODULE_ARG_TYPE_PURE_TOKEN,
    REDISMODULE_ARG_TYPE_ONEOF,
    REDISMODULE_ARG_TYPE_BLOCK
} RedisModuleCommandArgType;

typedef enum {
    REDISMODULE_KSPEC_BS_INVALID,
    REDISMODULE_KSPEC_BS_UNKNOWN,
    REDISMODULE_KSPEC_BS_INDEX,
    REDISMODULE_KSPEC_BS_KEYWORD
} RedisModuleKeySpecBeginSearchType;

typedef enum {
    REDISMODULE_KSPEC_FK_OMITTED,
    REDISMODULE_KSPEC_FK_UNKNOWN,
    REDISMODULE_KSPEC_FK_RANGE,
    REDISMODULE_KSPEC_FK_KEYNUM
} RedisModuleKeySpecFindKeysType;

typedef struct RedisModuleCommandArg {
    const char *name;
    RedisModuleCommandArgType type;
    int key_spec_index;
    const char *token;
    const char *summary;
    const char *since;
    int flags;
    const char *deprecated_since;
    struct RedisModuleCommandArg *subargs;
    const char *display_text;
} RedisModuleCommandArg;

typedef struct {
    const char *since;
    const char *changes;
} RedisModuleCommandHistoryEntry;

typedef struct {
    const char *notes;
    uint64_t flags;
    RedisModuleKeySpecBeginSearchType begin_search_type;
    union {
        struct {
            int pos;
        } index;
        struct {
            const char *keyword;
            int startfrom;
        } keyword;
    } bs;
    RedisModuleKeySpecFindKeysType find_keys_type;
    union {
        struct {
            int lastkey;
            int keystep;
            int limit;
        } range;
        struct {
            int keynumidx;
            int firstkey;
            int keystep;
        } keynum;
    } fk;
} RedisModuleCommandKeySpec;

// Tells the server the sizes of the structs as this module knows them.
typedef struct {
    int version;
    size_t sizeof_historyentry;
    size_t sizeof_keyspec;
    size_t sizeof_arg;
} RedisModuleCommandInfoVersion;

typedef struct {
    const RedisModuleCommandInfoVersion *version;
    const char *summary;
    const char *complexity;
    const char *since;
    RedisModuleCommandHistoryEntry *history;
    const char *tips;
    int arity;
    RedisModuleCommandKeySpec *key_specs;
    RedisModuleCommandArg *args;
} RedisModuleCommandInfo;

// Callbacks of a data type; those that this module leaves out are only placeholders of the right size.
typedef void (*RedisModuleUnusedFunc)(void);
typedef struct {
    uint64_t version;
    void *(*rdb_load)(RedisModuleIO *rdb, int encver);
    void (*rdb_save)(RedisModuleIO *rdb, void *value);
    void (*aof_rewrite)(RedisModuleIO *aof, RedisModuleString *key, void *value);
    RedisModuleUnusedFunc mem_usage;
    void (*digest)(RedisModuleDigest *digest, void *value);
    void (*free)(void *value);
    RedisModuleUnusedFunc aux_load;
    RedisModuleUnusedFunc aux_save;
    int aux_save_triggers;
    RedisModuleUnusedFunc free_effort;
    RedisModuleUnusedFunc unlink;
    RedisModuleUnusedFunc copy;
    RedisModuleUnusedFunc defrag;
    size_t (*mem_usage2)(RedisModuleKeyOptCtx *ctx, const void *value, size_t sample_size);
    size_t (*free_effort2)(RedisModuleKeyOptCtx *ctx, const void *value);
    void (*unlink2)(RedisModuleKeyOptCtx *ctx, const void *value);
    void *(*copy2)(RedisModuleKeyOptCtx *ctx, const void *value);
} RedisModuleTypeMethods;

// X(result, name, arguments)
#define REDIS_API_FUNCTIONS(X)                                                                                         \
    X(void, SetModuleAttribs, (RedisModuleCtx *, const char *, int, int))                                              \
    X(void, SetModuleOptions, (RedisModuleCtx *, int))                                                                 \
    X(int, IsModuleNameBusy, (const char *))                                                                           \
    X(void, Log, (RedisModuleCtx *, const char *, const char *, ...))                                                  \
    X(void, LogIOError, (RedisModuleIO *, const char *, const char *, ...))                                            \
    X(void *, Alloc, (size_t))                                                                                         \
    X(void, Free, (void *))                                                                                            \
    X(int, CreateCommand, (RedisModuleCtx *, const char *, RedisModuleCmdFunc, const char *, int, int, int))           \
    X(RedisModuleCommand *, GetCommand, (RedisModuleCtx *, const char *))                                              \
    X(int, SetCommandInfo, (RedisModuleCommand *, const RedisModuleCommandInfo *))                                     \
    X(int, WrongArity, (RedisModuleCtx *))                                                                             \
    X(int, IsKeysPositionRequest, (RedisModuleCtx *))                                                                  \
    X(void, KeyAtPosWithFlags, (RedisModuleCtx *, int, int))                                                           \
    X(int, GetContextFlags, (RedisModuleCtx *))                                                                        \
    X(RedisModuleCtx *, GetDetachedThreadSafeContext, (RedisModuleCtx *))                                              \
    X(int, GetSelectedDb, (RedisModuleCtx *))                                                                          \
    X(int, SelectDb, (RedisModuleCtx *, int))                                                                          \
    X(RedisModuleString *, CreateString, (RedisModuleCtx *, const char *, size_t))                                     \
    X(void, FreeString, (RedisModuleCtx *, RedisModuleString *))                                                       \
    X(const char *, StringPtrLen, (const RedisModuleString *, size_t *))                                               \
    X(RedisModuleKey *, OpenKey, (RedisModuleCtx *, RedisModuleString *, int))                                         \
    X(void, CloseKey, (RedisModuleKey *))                                                                              \
    X(int, DeleteKey, (RedisModuleKey *))                                                                              \
    X(int, KeyType, (RedisModuleKey *))                                                                                \
    X(RedisModuleType *, ModuleTypeGetType, (RedisModuleKey *))                                                        \
    X(void *, ModuleTypeGetValue, (RedisModuleKey *))                                                                  \
    X(int, ModuleTypeSetValue, (RedisModuleKey *, RedisModuleType *, void *))                                          \
    X(int, SignalModifiedKey, (RedisModuleCtx *, RedisModuleString *))                                                 \
    X(int, Replicate, (RedisModuleCtx *, const char *, const char *, ...))                                             \
    X(int, ReplicateVerbatim, (RedisModuleCtx *))                                                                      \
    X(int, AvoidReplicaTraffic, (void))                                                                                \
    X(int, NotifyKeyspaceEvent, (RedisModuleCtx *, int, const char *, RedisModuleString *))                            \
    X(int, SubscribeToKeyspaceEvents, (RedisModuleCtx *, int, RedisModuleNotificationFunc))                            \
    X(int, SubscribeToServerEvent, (RedisModuleCtx *, RedisModuleEvent, RedisModuleEventCallback))                     \
    X(RedisModuleTimerID, CreateTimer, (RedisModuleCtx *, long long, RedisModuleTimerProc, void *))                    \
    X(int, StopTimer, (RedisModuleCtx *, RedisModuleTimerID, void **))                                                 \
    X(const char *, GetMyClusterID, (void))                                                                            \
    X(int, GetClusterNodeInfo, (RedisModuleCtx *, const char *, char *, char *, int *, int *))                         \
    X(RedisModuleCallReply *, Call, (RedisModuleCtx *, const char *, const char *, ...))                               \
    X(int, CallReplyType, (RedisModuleCallReply *))                                                                    \
    X(RedisModuleCallReply *, CallReplyArrayElement, (RedisModuleCallReply *, size_t))                                 \
    X(const char *, CallReplyStringPtr, (RedisModuleCallReply *, size_t *))                                            \
    X(void, FreeCallReply, (RedisModuleCallReply *))                                                                   \
    X(int, RegisterEnumConfig,                                                                                         \
      (RedisModuleCtx *, const char *, int, unsigned, const char **, const int *, int, RedisModuleConfigGetEnumFunc,   \
       RedisModuleConfigSetEnumFunc, RedisModuleConfigApplyFunc, void *))                                              \
    X(int, LoadConfigs, (RedisModuleCtx *))                                                                            \
    X(int, ReplyWithError, (RedisModuleCtx *, const char *))                                                           \
    X(int, ReplyWithSimpleString, (RedisModuleCtx *, const char *))                                                    \
    X(int, ReplyWithStringBuffer, (RedisModuleCtx *, const char *, size_t))                                            \
    X(int, ReplyWithCString, (RedisModuleCtx *, const char *))                                                         \
    X(int, ReplyWithLongLong, (RedisModuleCtx *, long long))                                                           \
    X(int, ReplyWithCallReply, (RedisModuleCtx *, RedisModuleCallReply *))                                             \
    X(int, ReplyWithNull, (RedisModuleCtx *))                                                                          \
    X(int, ReplyWithArray, (RedisModuleCtx *, long))                                                                   \
    X(void, ReplySetArrayLength, (RedisModuleCtx *, long))                                                             \
    X(int, ReplyWithMap, (RedisModuleCtx *, long))                                                                     \
    X(long long, Milliseconds, (void))                                                                                 \
    X(uint64_t, MonotonicMicroseconds, (void))                                                                         \
    X(void, GetRandomBytes, (unsigned char *, size_t))                                                                 \
    X(RedisModuleServerInfoData *, GetServerInfo, (RedisModuleCtx *, const char *))                                    \
    X(void, FreeServerInfo, (RedisModuleCtx *, RedisModuleServerInfoData *))                                           \
    X(const char *, ServerInfoGetFieldC, (RedisModuleServerInfoData *, const char *))                                  \
    X(RedisModuleType *, CreateDataType, (RedisModuleCtx *, const char *, int, RedisModuleTypeMethods *))              \
    X(int, IsIOError, (RedisModuleIO *))                                                                               \
    X(const RedisModuleString *, GetKeyNameFromIO, (RedisModuleIO *))                                                  \
    X(int, GetDbIdFromIO, (RedisModuleIO *))                                                                           \
    X(const RedisModuleString *, GetToKeyNameFromOptCtx, (RedisModuleKeyOptCtx *))                                     \
    X(int, GetToDbIdFromOptCtx, (RedisModuleKeyOptCtx *))                                                              \
    X(void, SaveUnsigned, (RedisModuleIO *, uint64_t))                                                                 \
    X(uint64_t, LoadUnsigned, (RedisModuleIO *))                                                                       \
    X(void, SaveStringBuffer, (RedisModuleIO *, const char *, size_t))                                                 \
    X(char *, LoadStringBuffer, (RedisModuleIO *, size_t *))                                                           \
    X(void, EmitAOF, (RedisModuleIO *, const char *, const char *, ...))                                               \
    X(void, DigestAddStringBuffer, (RedisModuleDigest *, const char *, size_t))                                        \
    X(void, DigestAddLongLong, (RedisModuleDigest *, long long))                                                       \
    X(void, DigestEndSequence, (RedisModuleDigest *))                                                                  \
    X(int, RegisterInfoFunc, (RedisModuleCtx *, RedisModuleInfoFunc))                                                  \
    X(int, InfoAddSection, (RedisModuleInfoCtx *, const char *))                                                       \
    X(int, InfoAddFieldCString, (RedisModuleInfoCtx *, const char *, const char *))                                    \
    X(int, InfoAddFieldULongLong, (RedisModuleInfoCtx *, const char *, unsigned long long))

// Of later servers: AddACLCategory of Redis 7.4, SetCommandACLCategories of 7.2.
#define REDIS_API_LATER_FUNCTIONS(X)                                                                                   \
    X(int, AddACLCategory, (RedisModuleCtx *, const char *))                                                           \
    X(int, SetCommandACLCategories, (RedisModuleCommand *, const char *))

#define REDIS_API_DECLARE(result, name, arguments) extern result(*RedisModule_##name) arguments;
REDIS_API_FUNCTIONS(REDIS_API_DECLARE)
REDIS_API_LATER_FUNCTIONS(REDIS_API_DECLARE)
#undef REDIS_API_DECLARE

// Looks up every function; returns the name of the first of Redis 7.0 that the server lacks, or NULL.
const char *redis_api_load(RedisModuleCtx *ctx);
