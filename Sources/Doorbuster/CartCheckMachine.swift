import Messaging
import Stock

/// Decides the half message of a cart that got no answer, by the fences of all its lines: all live, it commits; else it
/// rolls back, and gives back what is held.
///
/// - Lines that are not live are fenced by the question, so a hold that is still on its way is refused.
/// - A sold line tells that another message of the same cart is committed, as only then are lines confirmed. What becomes
///   of the others is then for its worker to decide, and nothing is given back from here.
/// - A line that is live for another buyer or quantity is another purchase's, and so may the others be: nothing is given back
///   either. What the attempt itself held ends by itself.
struct CartCheckMachine {
  enum Action: Hashable {
    case fence(Token, BucketID)
    /// Asks what the bucket knows of a live token.
    case lookUp(Token, BucketID)
    /// Cancels a line that is held.
    case giveBack(Token, BucketID)
    case decide(CheckDecision)
  }

  private enum Standing {
    case held, sold, over, foreign
  }

  private enum Step {
    case asking
    case givingBack([Int])
  }

  private let message: CartMessage
  private let buckets: [BucketID]
  private var standings: [Standing] = []
  private var step = Step.asking

  init(_ message: CartMessage) {
    self.message = message
    buckets = message.bucketIDs
  }

  mutating func start() -> Action { next() }

  mutating func fenced(_ outcome: FenceOutcome) -> Action {
    switch outcome {
    case .live: return .lookUp(message.cart.token, buckets[standings.count])
    case .fenced, .alreadyCancelled: return note(.over)
    }
  }

  /// Where the bucket no longer keeps the buyer or the quantity, the line is sold.
  mutating func found(_ record: PurchaseRecord?) -> Action {
    let purchase = message.cart.purchases[standings.count]
    guard let record else { return note(.sold) }
    let isAnothers =
      record.user.map { $0 != purchase.user } ?? false || record.quantity.map { $0 != purchase.quantity } ?? false
    if isAnothers { return note(.foreign) }
    switch record.state {
    case .held: return note(.held)
    case .sold: return note(.sold)
    // Its hold has ended since.
    case .cancelled: return note(.over)
    }
  }

  mutating func gaveBack(_: CancelOutcome) -> Action {
    guard case .givingBack(let rest) = step else { return .decide(.rollBack) }
    return giveBack(rest.dropFirst())
  }

  func stockFailed(_ error: StockError) -> Action { .decide(.undecided(error.message)) }

  private mutating func note(_ standing: Standing) -> Action {
    standings.append(standing)
    return next()
  }

  private mutating func next() -> Action {
    if standings.count < buckets.count { return .fence(message.cart.token, buckets[standings.count]) }
    if standings.contains(.foreign) { return .decide(.rollBack) }
    guard standings.contains(.over) else { return .decide(.commit) }
    if standings.contains(.sold) { return .decide(.rollBack) }
    return giveBack(standings.indices.filter { standings[$0] == .held }[...])
  }

  private mutating func giveBack(_ rest: ArraySlice<Int>) -> Action {
    guard let line = rest.first else { return .decide(.rollBack) }
    step = .givingBack(Array(rest))
    return .giveBack(message.cart.token, buckets[line])
  }
}
