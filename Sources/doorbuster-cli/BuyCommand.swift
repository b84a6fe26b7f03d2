import ArgumentParser
import Doorbuster
import Stock

struct BuyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "buy",
    abstract: "Buy one product, or several in one purchase; once per token.",
    usage: """
      doorbuster buy <sku> --user <user> --token <token> [--quantity <n>] [--hold <ms>]
      doorbuster buy --item <sku=n> ... --user <user> --token <token>
      """,
    discussion: """
      Sent again with the same token, it hears the first outcome and takes nothing. A worker brings the purchase into \
      the database; `sale status` shows when it is there. With --hold the units are kept for so long, to be paid for: \
      `confirm` makes it a sale, `cancel` gives them back, and so does the end of that time.

      With --item, several products are bought together: all of them or none, wherever their buckets are. They must be on \
      sale on the paths redis-mq or combined, each once in a purchase, 32 at most.

      Exit status: 0 accepted or held, now or before; 2 refused (sold out, limit, early, closed, frozen) or cancelled; \
      3 unknown, and the same command tells; 1 an error.
      """
  )

  @Argument(help: "The product.", transform: Parse.sku) var sku: SKU?
  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp("A product and its units, for a purchase of several.", valueName: "sku=n"),
    transform: Parse.cartLine
  )
  var item: [CartLine] = []
  @Option(parsing: .unconditional, help: "The buyer: 1 to 128 bytes.", transform: Parse.user) var user: UserID
  @Option(parsing: .unconditional, help: "Names this attempt: 1 to 128 bytes.", transform: Parse.token)
  var token: Token
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Units: 1 to 2^53; 1 unless told.", valueName: "n"),
    transform: Parse.number("--quantity", 1...StockLimits.quantityMax)
  )
  var quantity: Int64?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Hold the units for so long instead of buying: 1 to 2^53.", valueName: "ms"),
    transform: Parse.number("--hold", 1...StockLimits.quantityMax)
  )
  var hold: Int64?
  @OptionGroup var output: OutputOptions
  @OptionGroup var servers: ServerOptions

  func validate() throws {
    guard item.isEmpty else {
      if let sku { throw ValidationError("'\(sku)' and --item are given; name one product, or all by --item") }
      if quantity != nil { throw ValidationError("--quantity is of one product; an item has its own: --item SKU=QTY") }
      if hold != nil { throw ValidationError("--hold is of one product; it can't be given with --item") }
      _ = try cart()
      return
    }
    guard sku != nil else { throw ValidationError("no product is named; name one, or several by --item SKU=QTY") }
  }

  func run() async throws {
    guard let sku else { return try await buyCart() }
    let purchase = try Purchase(sku: sku, user: user, token: token, quantity: quantity ?? 1)
    let answer = try await Deployment.with(servers.choice, for: sku) { deployment in
      let sale = try await deployment.orders.sale(sku)
      return try BuyAnswer(
        await deployment.doorbuster.purchase(purchase, holdMs: hold),
        buckets: sale?.terms.buckets ?? 1
      )
    }
    if answer.status == 0 { StandardOutput.note(done: "the purchase itself was made: \(answer.outcome)") }
    try answer.print(json: output.json)
    if answer.status != 0 { throw ExitCode(answer.status) }
  }

  private func cart() throws -> Cart {
    do {
      return try Cart(user: user, token: token, lines: item)
    } catch {
      throw ValidationError("--item: \(error.description)")
    }
  }

  private func buyCart() async throws {
    let cart = try cart()
    let answer = try await Deployment.with(servers.choice, for: cart.purchases[0].sku) { deployment in
      try CartAnswer(await deployment.doorbuster.purchase(cart: cart))
    }
    if answer.status == 0 { StandardOutput.note(done: "the purchase itself was made: \(answer.outcome)") }
    try answer.print(json: output.json)
    if answer.status != 0 { throw ExitCode(answer.status) }
  }
}

/// When a hold ends, ms since 1970; null, in JSON too, where no end is known.
struct HoldEnd: Encodable {
  let ms: Int64?

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let ms { try container.encode(ms) } else { try container.encodeNil() }
  }
}

/// What a buyer hears, for people and programs.
struct BuyAnswer: Encodable {
  /// accepted, duplicate, held, soldOut, limit, early, closed, frozen, cancelled, unknown.
  var outcome: String
  /// Of `held`: whether an earlier attempt of the token holds the units.
  var isRepeat: Bool?
  /// Of `held`.
  var expires: HoldEnd?
  /// Units on sale, after this purchase, in the buyer's bucket; on the path database of the product. Where the outcome is
  /// soldOut, over all buckets.
  var remaining: Int64?
  var sequence: Int64?
  var reason: String?
  let status: Int32
  /// Of the sale.
  private var buckets = 1

  private enum CodingKeys: String, CodingKey { case outcome, isRepeat, expires, remaining, sequence, reason }

  /// - Throws: the fault of a purchase that has taken nothing.
  init(_ purchase: PurchaseOutcome, buckets: Int) throws {
    switch purchase {
    case .accepted(let remaining, let sequence, let isRepeat):
      self.init(outcome: isRepeat ? "duplicate" : "accepted", remaining: remaining, sequence: sequence, status: 0)
    case .held(let expiresMs, let remaining, let sequence, let isRepeat):
      self.init(outcome: "held", remaining: remaining, sequence: sequence, status: 0)
      self.isRepeat = isRepeat
      expires = HoldEnd(ms: expiresMs)
    case .refused(let refusal, let remaining):
      self.init(outcome: refusal.rawValue, remaining: remaining, reason: purchase.fault, status: 2)
    case .cancelled:
      self.init(outcome: "cancelled", reason: purchase.fault, status: 2)
    case .unknown(let reason):
      self.init(outcome: "unknown", reason: reason, status: 3)
    case .failed(let error):
      throw CommandFailure(error.description)
    }
    self.buckets = buckets
  }

  private init(outcome: String, remaining: Int64? = nil, sequence: Int64? = nil, reason: String? = nil, status: Int32) {
    self.outcome = outcome
    self.remaining = remaining
    self.sequence = sequence
    self.reason = reason
    self.status = status
  }

  func print(json: Bool) throws {
    if json { return try Output.json(self) }
    switch outcome {
    case "accepted": Output.line("accepted; \(left)")
    case "duplicate": Output.line("accepted before, by the same token; \(left)")
    case "held":
      let before = isRepeat == true ? " before, by the same token" : ""
      let end = expires?.ms.map { " until \($0) ms since 1970" } ?? ", without an end that is known"
      Output.line("held\(before)\(end); \(left)")
    case "soldOut": Output.line("sold out; \(remaining ?? 0) left")
    case "limit": Output.line("refused: the user would exceed the limit")
    default: Output.line("\(outcome)\(reason.map { ": \($0)" } ?? "")")
    }
  }

  /// What other buckets have is moved here when it is wanted.
  private var left: String { "\(remaining ?? 0) left" + (buckets > 1 ? " in the buyer's bucket" : "") }
}
