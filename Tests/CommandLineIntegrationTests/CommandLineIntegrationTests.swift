// CommandLineIntegrationTests
