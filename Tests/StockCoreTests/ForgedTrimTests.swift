import Testing

@testable import StockCore

/// Payloads that begin with what is left of a trimmed log, and that no bucket has written.
@Suite("Forged payloads of trimmed logs")
struct ForgedTrimTests {
  private typealias Builder = PayloadBuilder

  private func fault(_ build: (inout Builder) -> Void) -> Fault {
    var builder = Builder()
    builder.header(limit: 1000)
    build(&builder)
    do {
      let bucket = try Bucket.restored(from: [builder.bytes])
      audit(bucket)
      return .none
    } catch {
      return error.fault
    }
  }

  /// One sold, one held, one transfer in and one out, with whatever differs from what fits.
  private func whole(
    sequence: Int64 = 9,
    created: Int64 = 100,
    available: Int64 = 95,
    sold: Int64 = 2,
    held: Int64 = 3,
    keptTokens: Int64 = 1,
    heldTokens: Int64 = 1,
    transfers: Int64 = 2,
    _ items: ((inout Builder) -> Void)? = nil
  ) -> Fault {
    fault {
      $0.trimmedLog(
        sequence,
        created: created,
        available: available,
        held: held,
        sold: sold,
        transferredIn: 5,
        transferredOut: 5,
        keptTokens: keptTokens,
        heldTokens: heldTokens,
        transfers: transfers
      )
      if let items { return items(&$0) }
      addKept(&$0)
      addHeld(&$0)
      addMoves(&$0)
    }
  }

  private func addKept(_ builder: inout Builder) { builder.keptToken(low: 77, sequence: 2, quantity: 2) }
  private func addHeld(_ builder: inout Builder) { builder.heldToken("h", sequence: 3, from: 98, quantity: 3) }
  private func addMoves(_ builder: inout Builder) {
    builder.transfer("I", flags: 1, sequence: 4, quantity: 5)
    builder.transfer("O", flags: 2, sequence: 5, quantity: 4)
  }

  @Test("Tokens and transfers must make up the books")
  func books() {
    #expect(whole() == .none)
    #expect(whole(available: 94) == .damaged)
    #expect(whole(created: 101) == .damaged)
    // Balanced, but not of these tokens.
    #expect(whole(available: 94, sold: 3) == .damaged)
    #expect(whole(available: 94, held: 4) == .damaged)
    #expect(whole(available: 98, sold: 2, held: 0) == .damaged)
    #expect(
      whole {
        addKept(&$0)
        addHeld(&$0)
        $0.transfer("I", flags: 1, sequence: 4, quantity: 6)
        $0.transfer("O", sequence: 5, quantity: 4)
      } == .damaged
    )
    // What was rebalanced is in the totals and is no transfer.
    #expect(
      whole(transfers: 0) {
        addKept(&$0)
        addHeld(&$0)
      } == .none
    )
  }

  @Test("As many must come as were announced, in their order, before all else")
  func counts() {
    #expect(whole(keptTokens: 2) == .outOfStep)
    #expect(whole(keptTokens: 0) == .outOfStep)
    #expect(whole(heldTokens: 2) == .outOfStep)
    #expect(whole(heldTokens: 0) == .outOfStep)
    #expect(whole(transfers: 3) == .damaged)
    #expect(whole(transfers: 1) == .outOfStep)
    #expect(whole(keptTokens: Limits.number) == .damaged)
    #expect(
      whole {
        addHeld(&$0)
        addKept(&$0)
        addMoves(&$0)
      } == .outOfStep
    )
    #expect(
      whole {
        addKept(&$0)
        addMoves(&$0)
        addHeld(&$0)
      } == .outOfStep
    )
    #expect(
      whole {
        addKept(&$0)
        addHeld(&$0)
      } == .damaged
    )
    #expect(
      whole {
        addKept(&$0)
        $0.event(.freeze, 10, to: 95)
      } == .outOfStep
    )
    #expect(
      whole {
        addKept(&$0)
        $0.settled("O")
      } == .outOfStep
    )
    #expect(
      whole {
        addKept(&$0)
        $0.trim(10, 10)
      } == .outOfStep
    )
    #expect(
      whole {
        addKept(&$0)
        addHeld(&$0)
        addMoves(&$0)
        addKept(&$0)
      } == .outOfStep
    )
    #expect(
      whole {
        addKept(&$0)
        addHeld(&$0)
        addMoves(&$0)
        addHeld(&$0)
      } == .outOfStep
    )
    #expect(
      whole {
        addKept(&$0)
        addHeld(&$0)
        addMoves(&$0)
        addMoves(&$0)
      } == .outOfStep
    )
    #expect(
      fault {
        $0.event(.create, 1, to: 9, quantity: 9)
        $0.trimmedLog(1, created: 9, available: 9)
      } == .outOfStep
    )
    #expect(
      fault {
        $0.trimmedLog(1, created: 9, available: 9)
        $0.trimmedLog(1, created: 9, available: 9)
      } == .outOfStep
    )
    // A token, a transfer or a hold needs an event of its own behind the first.
    #expect(whole(sequence: 5) == .none)
    #expect(whole(sequence: 4) == .damaged)
    #expect(fault { $0.trimmedLog(0, created: 9, available: 9) } == .damaged)
  }

  @Test("Nothing is older than the log's begin or known twice")
  func identities() {
    #expect(
      whole {
        $0.keptToken(low: 77, sequence: 10, quantity: 2)
        addHeld(&$0)
        addMoves(&$0)
      } == .outOfStep
    )
    #expect(
      whole {
        $0.keptToken(low: 77, sequence: 0, quantity: 2)
        addHeld(&$0)
        addMoves(&$0)
      } == .outOfStep
    )
    #expect(
      whole {
        addKept(&$0)
        $0.heldToken("h", sequence: 10, from: 98, quantity: 3)
        addMoves(&$0)
      } == .outOfStep
    )
    #expect(
      whole {
        addKept(&$0)
        addHeld(&$0)
        $0.transfer("I", flags: 1, sequence: 10, quantity: 5)
      } == .outOfStep
    )
    #expect(
      whole(available: 93, sold: 4, keptTokens: 2) {
        addKept(&$0)
        addKept(&$0)
        addHeld(&$0)
        addMoves(&$0)
      } == .outOfStep
    )
    #expect(
      whole(available: 92, held: 6, heldTokens: 2) {
        addKept(&$0)
        addHeld(&$0)
        addHeld(&$0)
        addMoves(&$0)
      } == .outOfStep
    )
    #expect(
      whole(transfers: 2) {
        addKept(&$0)
        addHeld(&$0)
        $0.transfer("I", flags: 1, sequence: 4, quantity: 2)
        $0.transfer("I", flags: 1, sequence: 5, quantity: 2)
      } == .outOfStep
    )
    // The fingerprint of a kept token may be that of a held one, or of one in the log.
    let key: [UInt8] = [9] + [UInt8](repeating: 0, count: 15)
    let hashing = key.withUnsafeBytes { $0.baseAddress.map { KeyedHash(key: $0) } } ?? KeyedHash(low: 0, high: 0)
    let (low, high) = bytes("h").withBytes { (hashing.hash($0, .purchase), hashing.secondHash($0, .purchase)) }
    #expect(
      whole {
        $0.keptToken(low: low, high: high, sequence: 2, quantity: 2)
        addHeld(&$0)
        addMoves(&$0)
      } == .outOfStep
    )
    #expect(
      fault {
        $0.trimmedLog(5, created: 9, available: 7, sold: 2, keptTokens: 1)
        $0.keptToken(low: low, high: high, sequence: 2, quantity: 2)
        $0.event(.deduct, 6, to: 6, quantity: 1, token: "h", user: "u")
      } == .outOfStep
    )
    // Where the fingerprint differs in one half it is another token.
    #expect(
      whole {
        $0.keptToken(low: low, high: high ^ 1, sequence: 2, quantity: 2)
        addHeld(&$0)
        addMoves(&$0)
      } == .none
    )
  }

  @Test("A kept or held token and a transfer have the fields of their kind, within their bounds")
  func fields() {
    func one(_ kind: Builder.Kind, _ build: (inout Builder) -> Void) -> Fault {
      fault {
        $0.trimmedLog(5, created: 9, available: 9, keptTokens: 1)
        build(&$0)
      }
    }
    #expect(one(.fence) { $0.keptToken(.fence, low: 1, sequence: 2, quantity: 0) } == .none)
    #expect(one(.fence) { $0.keptToken(.fence, low: 1, sequence: 2, quantity: -1) } == .damaged)
    #expect(one(.fence) { $0.keptToken(.fence, low: 1, sequence: 2, quantity: 0, isCancelled: true) } == .damaged)
    #expect(one(.purchase) { $0.keptToken(low: 1, sequence: 2, quantity: 0) } == .damaged)
    #expect(one(.purchase) { $0.keptToken(low: 1, sequence: 2, quantity: -1) } == .damaged)
    #expect(one(.restock) { $0.keptToken(.restock, low: 1, sequence: 2, quantity: 1, isCancelled: true) } == .damaged)
    // A restock that the books don't have.
    #expect(one(.restock) { $0.keptToken(.restock, low: 1, sequence: 2, quantity: 1) } == .damaged)
    #expect(one(.restock) { $0.keptToken(.restock, low: 1, sequence: 2, quantity: -1) } == .damaged)
    #expect(one(.purchase) { $0.bytes += [0xf9, 3] + [UInt8](repeating: 0, count: 40) } == .damaged)
    #expect(one(.purchase) { $0.bytes += [0xf9, 0x10] + [UInt8](repeating: 0, count: 40) } == .damaged)

    func hold(_ build: (inout Builder) -> Void) -> Fault {
      fault {
        $0.trimmedLog(5, created: 9, available: 8, held: 1, heldTokens: 1)
        build(&$0)
      }
    }
    #expect(hold { $0.heldToken("h", sequence: 2, from: 9) } == .none)
    #expect(hold { $0.heldToken("h", effect: .recordHeld, sequence: 2, from: 9) } == .none)
    #expect(hold { $0.heldToken("h", effect: .deduct, sequence: 2, from: 9) } == .damaged)
    #expect(hold { $0.heldToken("h", effect: .confirm, sequence: 2, from: 9) } == .damaged)
    #expect(hold { $0.heldToken("h", sequence: 2, from: 9, expires: 0) } == .damaged)
    #expect(hold { $0.heldToken("h", sequence: 2, from: 9, user: "") } == .damaged)
    #expect(hold { $0.heldToken("", sequence: 2, from: 9) } == .damaged)
    #expect(
      hold {
        $0.byte(0xfb)
        $0.event(.hold, 2, to: 8, quantity: 1, expires: 5, token: "h", user: "u")
        $0.number(8)
      } == .damaged
    )

    func transfer(_ build: (inout Builder) -> Void) -> Fault {
      fault {
        $0.trimmedLog(5, created: 9, available: 8, transferredOut: 1, transfers: 1)
        build(&$0)
      }
    }
    #expect(transfer { $0.transfer("T", sequence: 2) } == .none)
    #expect(transfer { $0.transfer(String(repeating: "n", count: 192), peer: 16383, sequence: 5) } == .none)
    #expect(transfer { $0.transfer(String(repeating: "n", count: 193), sequence: 2) } == .damaged)
    #expect(transfer { $0.transfer("", sequence: 2) } == .damaged)
    #expect(transfer { $0.transfer("T", flags: 4, sequence: 2) } == .damaged)
    #expect(transfer { $0.transfer("T", peer: 16384, sequence: 2) } == .damaged)
    #expect(transfer { $0.transfer("T", sequence: 2, timestamp: Limits.time + 1) } == .damaged)
    #expect(transfer { $0.transfer("T", sequence: 2, quantity: 0) } == .damaged)
    #expect(transfer { $0.transfer("T", flags: 1, sequence: 2) } == .damaged)
  }

  @Test("Sums of tokens and transfers that pass 2^63 are refused without a trap")
  func sums() {
    for kind in [Builder.Kind.purchase, .restock] {
      #expect(
        fault {
          $0.trimmedLog(5000, created: Limits.number, sold: Limits.number, keptTokens: 4000)
          for index in 1...4000 {
            $0.keptToken(kind, low: UInt64(index), high: UInt64(index), sequence: 2, quantity: Limits.number)
          }
        } != .none
      )
    }
    #expect(
      fault {
        $0.trimmedLog(5000, created: 9, available: 9, transfers: 4000)
        for index in 1...4000 { $0.transfer("T\(index)", sequence: 2, quantity: Limits.number) }
      } != .none
    )
    #expect(
      fault {
        $0.trimmedLog(5000, created: 9, available: 9, heldTokens: 4000)
        for index in 1...4000 { $0.heldToken("h\(index)", sequence: 2, from: Limits.number, quantity: Limits.number) }
      } != .none
    )
  }

  @Test("Fingerprints that were chosen to collide fill a segment and are refused, at a bounded cost in memory")
  func collisions() {
    #expect(
      fault {
        $0.trimmedLog(5000, created: 4000, sold: 4000, keptTokens: 4000)
        for index in 1...4000 { $0.keptToken(low: 0, high: UInt64(index), sequence: 2) }
      } == .overflow
    )
    // Those that agree in all bits but the last of those by which segments are split would double the directory of one
    // segment twenty times.
    var builder = Builder()
    builder.header()
    builder.trimmedLog(5000, created: 4000, sold: 4000, keptTokens: 4000)
    for index in 1...64 { builder.keptToken(low: 0, high: UInt64(index), sequence: 2) }
    let whole = builder
    builder.keptToken(low: 1 << 44, high: 65, sequence: 2)
    var made: Bucket?
    #expect(builder.bytes.withBytes { Bucket.make($0, &made) } == .overflow)
    guard let bucket = consume made else { return }
    #expect(bucket.figures.bytes < 200_000)
    var other: Bucket?
    #expect(whole.bytes.withBytes { Bucket.make($0, &other) } == .none)
  }
}
