// ModuleIntegrationTests
