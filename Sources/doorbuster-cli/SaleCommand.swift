import ArgumentParser
import Doorbuster
import Orders
import Stock

struct SaleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sale",
    abstract: "Set a sale up, look at it, restock it, close it.",
    subcommands: [Create.self, Status.self, Restock.self, Close.self]
  )

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Put a product on sale.",
      discussion: "Repeating the same command completes what a crash left, and changes nothing else."
    )

    @OptionGroup var servers: ServerOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The product: 1 to 64 of A-Z a-z 0-9 . _ : -", transform: Parse.sku) var sku: SKU

    @Option(help: "Units on sale: 0 to 2^53.", transform: Parse.number("--stock", 0...StockLimits.quantityMax))
    var stock: Int64

    @Option(
      help: "Parts that the stock is split into; this version sells from 1.",
      transform: Parse.number("--buckets", 1...1)
    )
    var buckets: Int64 = 1

    @Option(
      help: "Units that one user may have; 0 for no limit.",
      transform: Parse.number("--limit", 0...StockLimits.quantityMax)
    )
    var limit: Int64 = 0

    @Option(
      help: ArgumentHelp("When the sale opens, ms since 1970; 0 for at once.", valueName: "ms"),
      transform: Parse.number("--opens", 0...StockLimits.quantityMax)
    )
    var opens: Int64 = 0

    @Option(
      help: ArgumentHelp("When it closes, ms since 1970; 0 for never.", valueName: "ms"),
      transform: Parse.number("--closes", 0...StockLimits.quantityMax)
    )
    var closes: Int64 = 0

    @Option(help: "How purchases reach the database: redis-mq.", transform: Parse.path)
    var path: SalePath = .redisMQ

    func run() async throws {
      let terms = SaleTerms(buckets: Int(buckets), limit: limit, opensMs: opens, closesMs: closes)
      try await Deployment.with(servers.choice) { deployment in
        let sale = try await deployment.doorbuster.createSale(sku, stock: stock, terms: terms, path: path)
        try SaleView(await deployment.doorbuster.status(sale.sku)).print(json: output.json)
      }
    }
  }

  struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show how a sale stands in Redis, messages and database.")

    @OptionGroup var servers: ServerOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The product.", transform: Parse.sku) var sku: SKU

    func run() async throws {
      try await Deployment.with(servers.choice) { deployment in
        try SaleView(await deployment.doorbuster.status(sku)).print(json: output.json)
      }
    }
  }

  struct Restock: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Put more units on sale or, with a negative quantity, take unsold ones off.",
      discussion: "It counts once per token: repeat it as it was until it succeeds."
    )

    @OptionGroup var servers: ServerOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The product.", transform: Parse.sku) var sku: SKU
    @Option(help: "Names this restock: 1 to 128 bytes.", transform: Parse.token) var token: Token
    @Option(
      help: "Units: -2^53 to 2^53, not 0.",
      transform: Parse.number("--quantity", -StockLimits.quantityMax...StockLimits.quantityMax)
    )
    var quantity: Int64

    func run() async throws {
      try await Deployment.with(servers.choice) { deployment in
        try await deployment.doorbuster.restock(sku, token: token, quantity: quantity)
        try SaleView(await deployment.doorbuster.status(sku)).print(json: output.json)
      }
    }
  }

  struct Close: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Close a sale now.",
      discussion: "What was accepted before still becomes orders."
    )

    @OptionGroup var servers: ServerOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The product.", transform: Parse.sku) var sku: SKU

    func run() async throws {
      try await Deployment.with(servers.choice) { deployment in
        try await deployment.doorbuster.closeSale(sku)
        try SaleView(await deployment.doorbuster.status(sku)).print(json: output.json)
      }
    }
  }
}
