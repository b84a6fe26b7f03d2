// RedisStreamsIntegrationTests
