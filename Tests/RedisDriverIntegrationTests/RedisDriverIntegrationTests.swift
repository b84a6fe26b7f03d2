// RedisDriverIntegrationTests
