import ArgumentParser
import Doorbuster
import Stock

struct BuyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "buy",
    abstract: "Buy, once per token.",
    discussion: """
      Sent again with the same token, it hears the first outcome and takes nothing. A worker brings the purchase into \
      the database; `sale status` shows when it is there. With --hold the units are kept for so long, to be paid for: \
      `confirm` makes it a sale, `cancel` gives them back, and so does the end of that time.

      Exit status: 0 accepted or held, now or before; 2 refused (sold out, limit, early, closed, cancelled); 3 unknown, and the \
      same command tells; 1 an error.
      """
  )

  @Argument(help: "The product.", transform: Parse.sku) var sku: SKU
  @Option(parsing: .unconditional, help: "The buyer: 1 to 128 bytes.", transform: Parse.user) var user: UserID
  @Option(parsing: .unconditional, help: "Names this attempt: 1 to 128 bytes.", transform: Parse.token)
  var token: Token
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Units: 1 to 2^53; 1 unless told.", valueName: "n"),
    transform: Parse.number("--quantity", 1...StockLimits.quantityMax)
  )
  var quantity: Int64 = 1
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Hold the units for so long instead of buying: 1 to 2^53.", valueName: "ms"),
    transform: Parse.number("--hold", 1...StockLimits.quantityMax)
  )
  var hold: Int64?
  @OptionGroup var output: OutputOptions
  @OptionGroup var servers: ServerOptions

  func run() async throws {
    let purchase = try Purchase(sku: sku, user: user, token: token, quantity: quantity)
    let answer = try await Deployment.with(servers.choice, for: sku) { deployment in
      try BuyAnswer(await deployment.doorbuster.purchase(purchase, holdMs: hold))
    }
    try answer.print(json: output.json)
    if answer.status != 0 { throw ExitCode(answer.status) }
  }
}

/// What a buyer hears, for people and programs.
struct BuyAnswer: Encodable {
  /// accepted, duplicate, held, soldOut, limit, early, closed, frozen, cancelled, unknown.
  var outcome: String
  /// Of `held`: whether an earlier attempt of the token holds the units.
  var isRepeat: Bool?
  /// When the hold ends, ms since 1970.
  var expires: Int64?
  var remaining: Int64?
  var sequence: Int64?
  var reason: String?
  let status: Int32

  private enum CodingKeys: String, CodingKey { case outcome, isRepeat, expires, remaining, sequence, reason }

  /// - Throws: the fault of a purchase that has taken nothing.
  init(_ purchase: PurchaseOutcome) throws {
    switch purchase {
    case .accepted(let remaining, let sequence, let isRepeat):
      self.init(outcome: isRepeat ? "duplicate" : "accepted", remaining: remaining, sequence: sequence, status: 0)
    case .held(let expiresMs, let remaining, let sequence, let isRepeat):
      self.init(outcome: "held", remaining: remaining, sequence: sequence, status: 0)
      self.isRepeat = isRepeat
      expires = expiresMs
    case .refused(let refusal, let remaining):
      self.init(outcome: refusal.rawValue, remaining: remaining, reason: purchase.fault, status: 2)
    case .cancelled:
      self.init(outcome: "cancelled", reason: purchase.fault, status: 2)
    case .unknown(let reason):
      self.init(outcome: "unknown", reason: reason, status: 3)
    case .failed(let error):
      throw CommandFailure(error.description)
    }
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
    case "accepted": Output.line("accepted; \(remaining ?? 0) left")
    case "duplicate": Output.line("accepted before, by the same token; \(remaining ?? 0) left")
    case "held":
      let before = isRepeat == true ? " before, by the same token" : ""
      Output.line("held\(before) until \(expires ?? 0) ms since 1970; \(remaining ?? 0) left")
    case "soldOut": Output.line("sold out; \(remaining ?? 0) left")
    case "limit": Output.line("refused: the user would exceed the limit")
    default: Output.line("\(outcome)\(reason.map { ": \($0)" } ?? "")")
    }
  }
}
