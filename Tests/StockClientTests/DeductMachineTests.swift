import Stock
import Testing

@testable import StockClient

/// Each test is the transcript of one deduction: what happened, and what follows.
@Suite struct DeductMachineTests {
  typealias Event = DeductMachine.Event
  typealias Action = DeductMachine.Action

  private func play(_ transcript: [(Event, Action)], _ place: SourceLocation = #_sourceLocation) {
    var machine = DeductMachine()
    #expect(machine.start == .deduct(attempt: 0), sourceLocation: place)
    for (step, (event, action)) in transcript.enumerated() {
      let answer = machine.handle(event)
      #expect(answer == action, "step \(step)", sourceLocation: place)
    }
  }

  private func reply(_ status: StockStatus, _ remaining: Int64, _ sequence: Int64, afterLoss: Bool = false) -> Event {
    .answered(StockReply(status, remaining: remaining, sequence: sequence), afterLoss: afterLoss)
  }

  private let noReply = Event.lost(StockError(.replyLost, "no reply"))
  private let loading = StockError(.unavailable, "LOADING")
  private let late = StockError(.unavailable, "the deadline has passed")

  @Test("A reply decides where nothing was lost")
  func repliesDecide() {
    play([(reply(.ok, 9, 4), .finish(.accepted(remaining: 9, sequence: 4, isRepeat: false)))])
    play([(reply(.duplicate, 9, 4), .finish(.accepted(remaining: 9, sequence: 4, isRepeat: true)))])
    play([(reply(.cancelled, 9, 0), .finish(.cancelled))])
    play([(reply(.soldOut, 1, 0), .finish(.refused(.soldOut, remaining: 1)))])
    play([(reply(.limit, 5, 0), .finish(.refused(.limit, remaining: 5)))])
    play([(reply(.early, 5, 0), .finish(.refused(.early, remaining: 5)))])
    play([(reply(.closed, 5, 0), .finish(.refused(.closed, remaining: 5)))])
    play([(reply(.frozen, 5, 0), .finish(.refused(.frozen, remaining: 5)))])
  }

  @Test("A lost sending is sent again, and an acceptance is an acceptance")
  func lostThenAccepted() {
    play([
      (noReply, .deduct(attempt: 1)),
      (noReply, .deduct(attempt: 2)),
      (reply(.ok, 9, 4), .finish(.accepted(remaining: 9, sequence: 4, isRepeat: false))),
    ])
  }

  @Test("DUPLICATE after a loss is called a repeat: an earlier call may have taken the token, and only held it")
  func lostThenDuplicate() {
    let accepted = Action.finish(.accepted(remaining: 9, sequence: 4, isRepeat: true))
    play([(noReply, .deduct(attempt: 1)), (reply(.duplicate, 9, 4), accepted)])
    play([(reply(.duplicate, 9, 4, afterLoss: true), accepted)])
  }

  @Test("CANCELLED is final, whatever was lost")
  func lostThenCancelled() {
    play([(noReply, .deduct(attempt: 1)), (reply(.cancelled, 9, 0), .finish(.cancelled))])
  }

  @Test(
    "A refusal after a loss is not final: FENCE decides",
    arguments: [
      (StockStatus.soldOut, Refusal.soldOut), (.limit, .limit), (.early, .early), (.closed, .closed),
      (.frozen, .frozen),
    ]
  )
  func lostThenRefused(status: StockStatus, refusal: Refusal) {
    let refused = Action.finish(.refused(refusal, remaining: 3))
    for lost in [[(noReply, Action.deduct(attempt: 1))], []] {
      let refusing = (reply(status, 3, 0, afterLoss: lost.isEmpty), Action.fence(attempt: 0))
      play(lost + [refusing, (reply(.ok, 3, 8), refused)])
      play(lost + [refusing, (reply(.duplicate, 3, 8), refused)])
      let live = (reply(.live, 2, 7), Action.lookUp(attempt: 0))
      let mine = Action.finish(.accepted(remaining: 2, sequence: 7, isRepeat: true))
      let mismatch = StockError(.tokenMismatch, "the token was first sent with another user or quantity")
      play(lost + [refusing, live, (.found(.thisPurchase), mine)])
      play(
        lost + [
          refusing, live, (.failed(loading, afterLoss: false), .lookUp(attempt: 1)), (.found(.thisPurchase), mine),
        ]
      )
      play(lost + [refusing, live, (.found(.another), .fail(mismatch))])
      play(lost + [refusing, live, (.found(.nobody), .finish(.cancelled))])
      play(lost + [refusing, live, (.stopped(late, afterLoss: false), .finish(.unknown(late.message)))])
    }
  }

  @Test("A frozen bucket can't decide: unknown")
  func fenceFrozen() {
    play([
      (reply(.frozen, 3, 0, afterLoss: true), .fence(attempt: 0)),
      (
        reply(.frozen, 3, 0),
        .finish(.unknown("a sending had no reply, and FENCE can't decide while the bucket is frozen"))
      ),
    ])
  }

  @Test("FENCE is sent again until it is answered")
  func fenceLost() {
    play([
      (reply(.soldOut, 0, 0, afterLoss: true), .fence(attempt: 0)),
      (noReply, .fence(attempt: 1)),
      (.failed(loading, afterLoss: true), .fence(attempt: 2)),
      (noReply, .fence(attempt: 3)),
      (reply(.duplicate, 0, 8), .finish(.refused(.soldOut, remaining: 0))),
    ])
  }

  @Test("FENCE that fails for good, or has no time left, leaves the outcome unknown")
  func fenceFails() {
    for ending in [
      Event.failed(StockError(.noBucket, "the end"), afterLoss: false),
      .lost(StockError(.protocolViolation, "the end")),
      .stopped(StockError(.unavailable, "the end"), afterLoss: false),
    ] {
      play([
        (reply(.soldOut, 0, 0, afterLoss: true), .fence(attempt: 0)),
        (ending, .finish(.unknown("the end"))),
      ])
    }
  }

  @Test("An error is the outcome where nothing was lost")
  func errorsDecide() {
    for code in [StockError.Code.noBucket, .tokenMismatch, .outOfMemory, .readOnly, .noModule, .refused] {
      let error = StockError(code, "said the server")
      play([(.failed(error, afterLoss: false), .fail(error))])
    }
  }

  @Test("An error after a loss is not final: FENCE decides")
  func lostThenError() {
    let error = StockError(.outOfMemory, "OOM")
    let asking: [(Event, Action)] = [
      (noReply, .deduct(attempt: 1)), (.failed(error, afterLoss: false), .fence(attempt: 0)),
    ]
    play(asking + [(reply(.ok, 3, 8), .fail(error))])
    play(asking + [(reply(.duplicate, 3, 8), .fail(error))])
    let accepted = Action.finish(.accepted(remaining: 3, sequence: 8, isRepeat: true))
    play(asking + [(reply(.live, 3, 8), .lookUp(attempt: 0)), (.found(.thisPurchase), accepted)])
    let readOnly = StockError(.readOnly, "READONLY")
    play(asking + [(.failed(readOnly, afterLoss: false), .finish(.unknown("READONLY")))])
  }

  @Test("A token that another purchase holds was not taken by a lost sending of this one")
  func lostThenMismatch() {
    let error = StockError(.tokenMismatch, "TOKENMISMATCH")
    play([(noReply, .deduct(attempt: 1)), (.failed(error, afterLoss: true), .fail(error))])
  }

  @Test("A passing error is tried again, and counts as no loss")
  func passingErrors() {
    play([
      (.failed(loading, afterLoss: false), .deduct(attempt: 1)),
      (.failed(loading, afterLoss: false), .deduct(attempt: 2)),
      (reply(.soldOut, 0, 0), .finish(.refused(.soldOut, remaining: 0))),
    ])
  }

  @Test("A passing error that reports an earlier loss is remembered")
  func passingErrorAfterLoss() {
    play([
      (.failed(loading, afterLoss: true), .deduct(attempt: 1)),
      (reply(.soldOut, 0, 0), .fence(attempt: 0)),
    ])
  }

  @Test("At the deadline nothing was done if every sending was answered; else the outcome is unknown")
  func deadline() {
    let unknown = Action.finish(.unknown("the deadline has passed"))
    play([(.stopped(late, afterLoss: false), .fail(late))])
    play([(.failed(loading, afterLoss: false), .deduct(attempt: 1)), (.stopped(late, afterLoss: false), .fail(late))])
    play([(.stopped(late, afterLoss: true), unknown)])
    play([(noReply, .deduct(attempt: 1)), (.stopped(late, afterLoss: false), unknown)])
  }

  @Test("A reply that makes no sense leaves the outcome unknown, and is not sent again")
  func nonsense() {
    play([(.lost(StockError(.protocolViolation, "gibberish")), .finish(.unknown("gibberish")))])
    play([(reply(.live, 0, 0), .finish(.unknown("DEDUCT was answered LIVE")))])
    play([(reply(.unknown, 0, 0), .finish(.unknown("DEDUCT was answered UNKNOWN")))])
  }
}
