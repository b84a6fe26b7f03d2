// RedisDriverTests
