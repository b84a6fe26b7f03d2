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

    @Argument(help: "The product: 1 to 64 of A-Z a-z 0-9 . _ : -", transform: Parse.sku) var sku: SKU

    @Option(
      parsing: .unconditional,
      help: ArgumentHelp("Units on sale: 0 to 2^53.", valueName: "n"),
      transform: Parse.number("--stock", 0...StockLimits.quantityMax)
    )
    var stock: Int64

    @Option(
      parsing: .unconditional,
      help: ArgumentHelp("Units that one user may have; 0, as without it, for no limit.", valueName: "n"),
      transform: Parse.number("--limit", 0...StockLimits.quantityMax)
    )
    var limit: Int64 = 0

    @Option(
      parsing: .unconditional,
      help: ArgumentHelp("When the sale opens, ms since 1970; 0, as without it, for at once.", valueName: "ms"),
      transform: Parse.number("--opens", 0...StockLimits.quantityMax)
    )
    var opens: Int64 = 0

    @Option(
      parsing: .unconditional,
      help: ArgumentHelp("When it closes, ms since 1970; 0, as without it, for never.", valueName: "ms"),
      transform: Parse.number("--closes", 0...StockLimits.quantityMax)
    )
    var closes: Int64 = 0

    @OptionGroup var path: PathOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var servers: ServerOptions

    func validate() throws {
      guard closes == 0 || opens < closes else {
        throw ValidationError("--opens is '\(opens)' and --closes is '\(closes)'; it must open before it closes")
      }
    }

    func run() async throws {
      let terms = SaleTerms(buckets: path.bucketCount, limit: limit, opensMs: opens, closesMs: closes)
      try await Deployment.with(servers.choice, needing: .of(path.path)) { deployment in
        let sale = try await deployment.doorbuster.createSale(sku, stock: stock, terms: terms, path: path.path)
        StandardOutput.note(done: "the sale itself is set up")
        try SaleView(await deployment.doorbuster.status(sale.sku)).print(json: output.json)
      }
    }
  }

  struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show how a sale stands in Redis, messages and database.",
      discussion: """
        A line for each bucket: where it is, what it has, how many transfers are open in it and how old the oldest is, and \
        how many of its log's events the database lacks. A narrow terminal shows fewer columns.
        """
    )

    @Argument(help: "The product.", transform: Parse.sku) var sku: SKU
    @Flag(help: "Show it anew every second, until Ctrl-C.") var watch = false
    @OptionGroup var output: OutputOptions
    @OptionGroup var servers: ServerOptions

    func validate() throws {
      if watch, output.json { throw ValidationError("--watch shows a terminal what changes; --json prints one object") }
    }

    func run() async throws {
      try await Deployment.with(servers.choice, for: sku) { deployment in
        guard watch else { return try SaleView(await deployment.doorbuster.status(sku)).print(json: output.json) }
        try await watch(deployment.doorbuster)
      }
    }

    private func watch(_ doorbuster: Doorbuster) async throws {
      let stop = StopSignal()
      var view = LiveView()
      defer { view.end() }
      try await stop.watching {
        while !stop.isStopping, !StandardOutput.isGone {
          view.show(SaleView(try await doorbuster.status(sku)).lines(columns: Output.columns))
          for _ in 0..<20 where !stop.isStopping { try await Task.sleep(for: .milliseconds(50)) }
        }
      }
    }
  }

  struct Restock: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Put more units on sale or, with a negative quantity, take unsold ones off.",
      discussion: "It counts once per token: repeat it as it was until it succeeds."
    )

    @Argument(help: "The product.", transform: Parse.sku) var sku: SKU
    @Option(parsing: .unconditional, help: "Names this restock: 1 to 128 bytes.", transform: Parse.token)
    var token: Token
    @Option(
      parsing: .unconditional,
      help: ArgumentHelp("Units: -2^53 to 2^53, not 0.", valueName: "n"),
      transform: Parse.restockQuantity
    )
    var quantity: Int64
    @OptionGroup var output: OutputOptions
    @OptionGroup var servers: ServerOptions

    func run() async throws {
      try await Deployment.with(servers.choice, for: sku) { deployment in
        try await deployment.doorbuster.restock(sku, token: token, quantity: quantity)
        StandardOutput.note(done: "the restock itself was made")
        try SaleView(await deployment.doorbuster.status(sku)).print(json: output.json)
      }
    }
  }

  struct Close: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Close a sale now.",
      discussion: "What was accepted before still becomes orders."
    )

    @Argument(help: "The product.", transform: Parse.sku) var sku: SKU
    @OptionGroup var output: OutputOptions
    @OptionGroup var servers: ServerOptions

    func run() async throws {
      try await Deployment.with(servers.choice, for: sku) { deployment in
        try await deployment.doorbuster.closeSale(sku)
        StandardOutput.note(done: "the sale itself is closed")
        try SaleView(await deployment.doorbuster.status(sku)).print(json: output.json)
      }
    }
  }
}
