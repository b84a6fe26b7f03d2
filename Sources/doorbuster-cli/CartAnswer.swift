import Doorbuster
import Stock

/// What the buyer of a cart hears, for people and programs.
struct CartAnswer: Encodable {
  struct Item: Encodable {
    var sku: String
    var quantity: Int64
    /// Left at the buyer's home when these units were taken.
    var remaining: Int64?
    var sequence: Int64?
  }

  /// accepted, duplicate, soldOut, limit, early, closed, frozen, cancelled, unknown.
  var outcome: String
  /// All that was bought, in order of the products; absent where nothing was.
  var items: [Item]?
  /// The one that can't be had.
  var failed: Item?
  var reason: String?
  let status: Int32

  private enum CodingKeys: String, CodingKey { case outcome, items, failed, reason }

  /// - Throws: the fault of a cart that has taken nothing.
  init(_ cart: CartOutcome) throws {
    switch cart {
    case .accepted(let lines, let isRepeat):
      self.init(outcome: isRepeat ? "duplicate" : "accepted", status: 0)
      items = lines.map { Item($0.purchase, remaining: $0.remaining, sequence: $0.sequence) }
    case .refused(let refusal, let line, let remaining):
      self.init(
        outcome: refusal.rawValue,
        reason: PurchaseOutcome.refused(refusal, remaining: remaining).fault,
        status: 2
      )
      failed = Item(line, remaining: remaining)
    case .cancelled(let line):
      self.init(outcome: "cancelled", reason: PurchaseOutcome.cancelled.fault, status: 2)
      failed = Item(line)
    case .unknown(let reason):
      self.init(outcome: "unknown", reason: reason, status: 3)
    case .failed(let error, let line):
      throw CommandFailure((line.map { "--item \($0.sku)=\($0.quantity): " } ?? "") + error.description)
    }
  }

  private init(outcome: String, reason: String? = nil, status: Int32) {
    self.outcome = outcome
    self.reason = reason
    self.status = status
  }

  func print(json: Bool) throws {
    if json { return try Output.json(self) }
    let why = reason.map { ": \($0)" } ?? ""
    switch outcome {
    case "accepted": Output.line("accepted: \(list)")
    case "duplicate": Output.line("accepted before, by the same token: \(list)")
    case "soldOut": Output.line("\(failed?.sku ?? "") is sold out, \(failed?.remaining ?? 0) left; nothing is bought")
    case "limit": Output.line("refused: the user would exceed the limit of \(failed?.sku ?? ""); nothing is bought")
    default: Output.line((failed.map { "\($0.sku): " } ?? "") + outcome + why)
    }
  }

  private var list: String { (items ?? []).map { "\($0.sku)=\($0.quantity)" }.joined(separator: " ") }
}

extension CartAnswer.Item {
  fileprivate init(_ purchase: Purchase, remaining: Int64? = nil, sequence: Int64? = nil) {
    self.init(sku: purchase.sku.text, quantity: purchase.quantity, remaining: remaining, sequence: sequence)
  }
}
