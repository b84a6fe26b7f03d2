// StockClientIntegrationTests
