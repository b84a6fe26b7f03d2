import Messaging
import Stock

/// Decides one half message that got no answer. One step decides: `FENCE` of its token.
///
/// What can't be learnt now stays undecided; the broker asks again, and in the end parks the message where operators
/// see it. Nothing is given up in silence.
struct CheckMachine {
  enum Action: Hashable {
    case fence(Token, BucketID)
    case decide(CheckDecision)
  }

  func start(_ half: HalfMessage) -> Action {
    do {
      let message = try PurchaseMessage(decoding: half.message.body)
      return .fence(message.purchase.token, message.bucketID)
    } catch {
      return .decide(.undecided(error.description))
    }
  }

  func fenced(_ outcome: FenceOutcome) -> Action {
    switch outcome {
    case .live: .decide(.commit)
    case .fenced, .alreadyCancelled: .decide(.rollBack)
    }
  }

  func fenceFailed(_ error: StockError) -> Action { .decide(.undecided(error.message)) }
}
