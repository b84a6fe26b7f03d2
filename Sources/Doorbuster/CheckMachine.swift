import Messaging
import Stock

/// Decides one half message that got no answer. One step decides: `FENCE` of its token.
///
/// A live token may be another buyer's, who used it first: such a message's purchase was refused as a mismatch, and
/// its commit would write an order that nobody bought. So what is live is compared before it is committed.
///
/// What can't be learnt now stays undecided; the broker asks again, and in the end parks the message where operators
/// see it. Nothing is given up in silence.
struct CheckMachine {
  enum Action: Hashable {
    case fence(Token, BucketID)
    /// Asks what the bucket knows of a live token.
    case lookUp(Token, BucketID)
    case decide(CheckDecision)
  }

  private let message: Result<PurchaseMessage, PurchaseMessageError>

  init(_ half: HalfMessage) {
    do throws(PurchaseMessageError) {
      message = .success(try PurchaseMessage(decoding: half.message.body))
    } catch {
      message = .failure(error)
    }
  }

  func start() -> Action {
    switch message {
    case .success(let message): .fence(message.purchase.token, message.bucketID)
    case .failure(let error): .decide(.undecided(error.description))
    }
  }

  func fenced(_ outcome: FenceOutcome) -> Action {
    switch (outcome, message) {
    case (.live, .success(let message)): .lookUp(message.purchase.token, message.bucketID)
    case (.fenced, _), (.alreadyCancelled, _): .decide(.rollBack)
    case (.live, .failure(let error)): .decide(.undecided(error.description))
    }
  }

  /// Where the bucket no longer keeps the buyer or the quantity, the database has the order of the token already: a
  /// second message then does no harm.
  ///
  /// What is held is no sale of this message's: another attempt holds it, whose message or log entry makes its order.
  func found(_ record: PurchaseRecord?) -> Action {
    guard case .success(let message) = message, let record else { return .decide(.commit) }
    if record.state == .held, !message.isHeld { return .decide(.rollBack) }
    let isAnothers =
      record.user.map { $0 != message.purchase.user } ?? false
      || record.quantity.map { $0 != message.purchase.quantity } ?? false
    return .decide(isAnothers ? .rollBack : .commit)
  }

  func stockFailed(_ error: StockError) -> Action { .decide(.undecided(error.message)) }
}
