import Testing

@testable import StockCore

/// Payloads of well-formed items that no bucket has written.
@Suite("Forged payloads")
struct ForgedPayloadTests {
  private typealias Builder = PayloadBuilder

  /// What reading a payload comes to; a bucket that it makes must agree with itself.
  private func fault(_ build: (inout Builder) -> Void) -> Fault {
    var builder = Builder()
    build(&builder)
    do {
      let bucket = try Bucket.restored(from: [builder.bytes])
      audit(bucket)
      return .none
    } catch {
      return error.fault
    }
  }

  /// A header and a create event of nine units, then some more.
  private func live(_ build: (inout Builder) -> Void) -> Fault {
    fault {
      $0.header()
      $0.event(.create, 1, to: 9, quantity: 9)
      build(&$0)
    }
  }

  // MARK: Headers

  @Test("A header must be within its bounds, come first and once")
  func headers() {
    func header(_ build: (inout Builder) -> Void) -> Fault {
      fault {
        build(&$0)
        $0.event(.create, 1, to: 9, quantity: 9)
      }
    }
    #expect(header { $0.header() } == .none)
    #expect(
      header { $0.header(epoch: Limits.number, buckets: 16384, limit: Limits.number, flags: 1, freezing: 0x0c) }
        == .none
    )
    #expect(header { $0.header(epoch: 0) } == .damaged)
    #expect(header { $0.header(epoch: Limits.number + 1) } == .damaged)
    #expect(header { $0.header(buckets: 0) } == .damaged)
    #expect(header { $0.header(buckets: 16385) } == .damaged)
    #expect(header { $0.header(limit: Limits.number + 1) } == .damaged)
    #expect(header { $0.header(opens: .max) } == .damaged)
    #expect(header { $0.header(flags: 2) } == .damaged)
    // Who has frozen it is a flag, not one of the reasons.
    #expect(header { $0.header(freezing: 1) } == .damaged)
    #expect(header { $0.header(freezing: 5) } == .damaged)
    #expect(header { $0.header(freezing: 0x10) } == .damaged)
    #expect(header { _ in } == .damaged)
    #expect(fault { $0.header() } == .damaged)
    #expect(live { $0.header() } == .outOfStep)
    #expect(live { $0.byte(0xee) } == .damaged)
  }

  @Test("A number takes seven bytes at most and is 2^53 at most")
  func numbers() {
    func epoch(_ bytes: [UInt8]) -> Fault {
      fault {
        $0.bytes += [0xf1] + bytes + [UInt8](repeating: 0, count: 16) + [1, 1, 0, 0, 0, 0, 0]
        $0.event(.create, 1, to: 0)
      }
    }
    #expect(epoch([1, 5]) == .none)
    #expect(epoch([7, 0, 0, 0, 0, 0, 0, 0x20]) == .none)
    #expect(epoch([7, 1, 0, 0, 0, 0, 0, 0x20]) == .damaged)
    #expect(epoch([7, 0, 0, 0, 0, 0, 0, 0xff]) == .damaged)
    #expect(epoch([8, 1, 0, 0, 0, 0, 0, 0, 0]) == .damaged)
    #expect(epoch([255]) == .damaged)
  }

  // MARK: Events

  @Test("An event must have the fields of its effect, within their bounds")
  func fields() {
    let long = String(repeating: "n", count: 129)
    let longTransfer = String(repeating: "n", count: 193)
    #expect(live { $0.event(.deduct, 2, to: 8, quantity: 1, token: "t", user: "u") } == .none)
    #expect(live { $0.event(.deduct, 2, to: 9, quantity: 0, token: "t", user: "u") } == .damaged)
    #expect(live { $0.event(.deduct, 2, to: 10, quantity: -1, token: "t", user: "u") } == .damaged)
    #expect(live { $0.event(.deduct, 2, to: 8, quantity: 1, token: "t") } == .damaged)
    #expect(live { $0.event(.deduct, 2, to: 8, quantity: 1, user: "u") } == .damaged)
    #expect(live { $0.event(.deduct, 2, to: 8, quantity: 1, token: long, user: "u") } == .damaged)
    #expect(
      live { $0.event(.deduct, 2, timestamp: Limits.time + 1, to: 8, quantity: 1, token: "t", user: "u") } == .damaged
    )
    #expect(live { $0.event(.hold, 2, to: 8, quantity: 1, expires: 0, token: "t", user: "u") } == .damaged)
    #expect(live { $0.event(.hold, 2, to: 8, quantity: 1, expires: Limits.number, token: "t", user: "u") } == .none)
    #expect(live { $0.event(.fence, 2, to: 9, token: "t", user: "u") } == .damaged)
    #expect(live { $0.event(.fence, 2, to: 9, quantity: 1, token: "t") } == .damaged)
    #expect(live { $0.event(.add, 2, to: 8, quantity: -1, token: "r") } == .none)
    #expect(live { $0.event(.add, 2, to: 9, quantity: 0, token: "r") } == .damaged)
    #expect(live { $0.event(.add, 2, to: 8, quantity: -1, token: "r", user: "u") } == .damaged)
    #expect(live { $0.event(.withdraw, 2, to: 8, quantity: 1, peer: 16383, token: "T") } == .none)
    #expect(live { $0.event(.withdraw, 2, to: 8, quantity: 1, peer: 16384, token: "T") } == .damaged)
    #expect(live { $0.event(.withdraw, 2, to: 8, quantity: 1, peer: 65536, token: "T") } == .damaged)
    #expect(live { $0.event(.withdraw, 2, to: 8, quantity: 1, token: longTransfer) } == .damaged)
    #expect(live { $0.event(.withdraw, 2, to: 8, quantity: 1) } == .damaged)
    #expect(live { $0.event(.rebalanceOut, 2, to: 8, quantity: 1, token: "t") } == .damaged)
    #expect(live { $0.event(.rebalanceOut, 2, to: 9, quantity: 0) } == .damaged)
    #expect(live { $0.event(.schedule, 2, to: 9, quantity: 1) } == .damaged)
    #expect(live { $0.bytes += [30, 1, 2, 0, 1, 9, 0, 0, 0] } == .damaged)
    #expect(live { $0.bytes += [0x20 | 28, 1, 2, 0, 1, 9, 0, 0, 0] } == .damaged)
  }

  @Test("An event must follow from the one before it")
  func order() {
    #expect(live { $0.event(.create, 2, to: 18, quantity: 9) } == .outOfStep)
    #expect(live { $0.event(.deduct, 3, to: 8, quantity: 1, token: "t", user: "u") } == .outOfStep)
    #expect(live { $0.event(.deduct, 2, to: 7, quantity: 1, token: "t", user: "u") } == .outOfStep)
    #expect(live { $0.event(.deduct, 2, to: 0, quantity: 10, token: "t", user: "u") } == .outOfStep)
    #expect(live { $0.event(.add, 2, to: 0, quantity: -10, token: "t") } == .outOfStep)
    #expect(live { $0.event(.deposit, 2, to: Limits.number, quantity: Limits.number - 9, token: "T") } == .none)
    #expect(
      live {
        $0.event(.withdraw, 2, to: 0, quantity: 9, token: "T")
        $0.event(.deposit, 3, to: Limits.number, quantity: Limits.number, token: "U")
        $0.event(.recordIn, 4, to: Limits.number, quantity: 1, token: "V")
      } == .outOfStep
    )
    #expect(fault { $0.event(.create, 1, to: 9, quantity: 9) } == .damaged)
    #expect(
      fault {
        $0.header()
        $0.event(.freeze, 1, to: 0)
      } == .outOfStep
    )
  }

  @Test("Each effect needs its purchase in the state it ends")
  func states() {
    let first: [(Effect, PurchaseState?)] = [
      (.deduct, .sold), (.recordSold, .sold), (.hold, .held), (.recordHeld, .held), (.recordCancelled, .cancelled),
      (.fence, nil),
    ]
    let later: [(Effect, PurchaseState)] = [
      (.confirm, .held), (.cancelHeld, .held), (.rejectHeld, .held), (.expire, .held), (.recordConfirm, .held),
      (.recordCancelHeld, .held), (.recordRejectHeld, .held), (.cancelSold, .sold), (.rejectSold, .sold),
      (.recordCancelSold, .sold), (.recordRejectSold, .sold),
    ]
    for (begin, state) in first {
      for (end, needed) in later {
        for (quantity, user) in [(Int64(2), "u"), (1, "u"), (2, "v")] {
          let found = live {
            let isFence = begin == .fence
            let left: Int64 = isFence || begin == .recordCancelled ? 9 : 7
            $0.event(begin, 2, to: left, quantity: isFence ? 0 : 2, expires: 5, token: "t", user: isFence ? "" : "u")
            $0.event(end, 3, to: left + end.change(quantity), quantity: quantity, token: "t", user: user)
          }
          let isRight = state == needed && quantity == 2 && user == "u"
          #expect(found == (isRight ? .none : .outOfStep), "\(begin.rawValue) \(end.rawValue) \(quantity) \(user)")
        }
      }
      // Nor is a token taken twice.
      for (again, _) in first where begin != .fence && again != .fence {
        let found = live {
          let left: Int64 = begin == .recordCancelled ? 9 : 7
          $0.event(begin, 2, to: left, quantity: 2, expires: 5, token: "t", user: "u")
          $0.event(again, 3, to: left + again.change(2), quantity: 2, expires: 5, token: "t", user: "u")
        }
        #expect(found == .outOfStep)
      }
    }
    #expect(live { $0.event(.confirm, 2, to: 9, quantity: 1, token: "t", user: "u") } == .outOfStep)
    // The user of a cancellation can only be gone where the purchase's is.
    #expect(
      live {
        $0.event(.deduct, 2, to: 8, quantity: 1, token: "t", user: "u")
        $0.event(.cancelSold, 3, to: 9, quantity: 1, token: "t")
      } == .outOfStep
    )
  }

  @Test("What an event sets stands before it, and before no other")
  func sets() {
    #expect(
      live {
        $0.settings(limit: 4)
        $0.event(.schedule, 2, to: 9)
        $0.freezing(0x08)
        $0.event(.freeze, 3, to: 9)
        $0.freezing(0)
        $0.event(.thaw, 4, to: 9)
      } == .none
    )
    #expect(live { $0.settings(limit: 4) } == .damaged)
    #expect(live { $0.freezing(0) } == .damaged)
    #expect(
      live {
        $0.settings(limit: 4)
        $0.event(.freeze, 2, to: 9)
      } == .outOfStep
    )
    #expect(
      live {
        $0.freezing(0)
        $0.event(.schedule, 2, to: 9)
      } == .outOfStep
    )
    #expect(
      live {
        $0.settings(limit: 4)
        $0.trim(1, 1)
      } == .damaged
    )
    #expect(
      live {
        $0.freezing(1)
        $0.event(.freeze, 2, to: 9)
      } == .damaged
    )
  }

  @Test("A trim goes on where the log begins and no further than it ends; a settling needs its open transfer")
  func trimsAndSettlings() {
    #expect(live { $0.trim(1, 1) } == .none)
    #expect(live { $0.trim(1, 2) } == .outOfStep)
    #expect(live { $0.trim(2, 2) } == .outOfStep)
    #expect(live { $0.trim(0, 1) } == .outOfStep)
    #expect(live { $0.trim(1, 0) } == .outOfStep)
    #expect(
      live {
        $0.trim(1, 1)
        $0.trim(1, 1)
      } == .outOfStep
    )
    #expect(live { $0.settled("T") } == .outOfStep)
    #expect(live { $0.settled("") } == .damaged)
    #expect(live { $0.settled(String(repeating: "n", count: 193)) } == .damaged)
    #expect(
      live {
        $0.event(.withdraw, 2, to: 8, quantity: 1, token: "T")
        $0.settled("T")
        $0.trim(1, 2)
        $0.settled("T")
      } == .outOfStep
    )
    #expect(
      live {
        $0.event(.withdraw, 2, to: 8, quantity: 1, token: "T")
        $0.event(.deposit, 3, to: 9, quantity: 1, token: "T")
      } == .outOfStep
    )
    #expect(
      live {
        $0.event(.add, 2, to: 10, quantity: 1, token: "r")
        $0.event(.recordRestock, 3, to: 11, quantity: 1, token: "r")
      } == .outOfStep
    )
  }
}
