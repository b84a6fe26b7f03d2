import Dispatch
import RedisDriver
import Stock
import Testing

@testable import StockClient

/// One deduction against a peer that loses its replies at each point.
@Suite struct LostReplyTests {
  @Test("A command goes out as the contract has it")
  func writesTheCommand() async throws {
    let peer = try ScriptedPeer { command in
      #expect(command == ["STOCK.DEDUCT", "doorbuster:{X/0}", "user-1", "token-1", "2"])
      return .status("OK", 8, 3)
    }
    try await Dialogue.run(peer) { dialogue in
      expect(try await dialogue.deduct(), is: .accepted(remaining: 8, sequence: 3, isRepeat: false))
    }
  }

  @Test("A reply lost, and the resend accepted")
  func lostThenAccepted() async throws {
    try await Dialogue.run([.hangUp, .status("OK", 8, 3)]) { dialogue in
      expect(try await dialogue.deduct(), is: .accepted(remaining: 8, sequence: 3, isRepeat: false))
    }
  }

  @Test("A reply lost, and the resend a duplicate: accepted, maybe by an earlier call")
  func lostThenDuplicate() async throws {
    try await Dialogue.run([.hangUp, .status("DUPLICATE", 8, 3)]) { dialogue in
      expect(try await dialogue.deduct(), is: .accepted(remaining: 8, sequence: 3, isRepeat: true))
    }
  }

  @Test("A duplicate without any loss is a repeat")
  func duplicate() async throws {
    try await Dialogue.run([.status("DUPLICATE", 8, 3)]) { dialogue in
      expect(try await dialogue.deduct(), is: .accepted(remaining: 8, sequence: 3, isRepeat: true))
    }
  }

  @Test("A reply lost, the resend refused, FENCE finds the token live, and it is this purchase's: accepted")
  func lostThenRefusedThenLive() async throws {
    let script: [ScriptedPeer.Reaction] = [
      .hangUp, .status("SOLDOUT"), .status("LIVE", 0, 3), .record(user: "user-1"),
    ]
    try await Dialogue.run(script) { dialogue in
      expect(try await dialogue.deduct(), is: .accepted(remaining: 0, sequence: 3, isRepeat: true))
      #expect(dialogue.peer.commands == ["STOCK.DEDUCT", "STOCK.DEDUCT", "STOCK.FENCE", "STOCK.GET"])
    }
  }

  @Test("A reply lost, the resend refused, FENCE finds the token live, and it is another buyer's: not accepted")
  func lostThenRefusedThenAnothers() async throws {
    try await Dialogue.run([.hangUp, .status("SOLDOUT"), .status("LIVE", 0, 3), .record(user: "user-2")]) { dialogue in
      let error = await dialogue.error { _ throws(StockError) in try await dialogue.deduct() }
      #expect(error?.code == .tokenMismatch)
    }
  }

  @Test(
    "A reply lost, the resend refused, FENCE marks the token or finds it marked: refused",
    arguments: ["OK", "DUPLICATE"],
    [("SOLDOUT", Refusal.soldOut), ("LIMIT", .limit), ("EARLY", .early), ("CLOSED", .closed), ("FROZEN", .frozen)]
  )
  func lostThenRefusedThenFenced(fence: String, refusal: (word: String, reason: Refusal)) async throws {
    try await Dialogue.run([.hangUp, .status(refusal.word, 1), .status(fence, 1, 4)]) { dialogue in
      expect(try await dialogue.deduct(), is: .refused(refusal.reason, remaining: 1))
    }
  }

  @Test("FENCE's own reply lost: it is asked again")
  func fenceLost() async throws {
    try await Dialogue.run([.hangUp, .status("SOLDOUT"), .hangUp, .status("DUPLICATE", 0, 0)]) { dialogue in
      expect(try await dialogue.deduct(), is: .refused(.soldOut, remaining: 0))
    }
  }

  @Test("A refusal without any loss is final, and not fenced")
  func refused() async throws {
    try await Dialogue.run([.status("SOLDOUT", 1)]) { dialogue in
      expect(try await dialogue.deduct(), is: .refused(.soldOut, remaining: 1))
    }
  }

  @Test("A reply lost, the resend refused, and the bucket frozen by then: unknown")
  func lostThenFrozen() async throws {
    try await Dialogue.run([.hangUp, .status("SOLDOUT"), .status("FROZEN")]) { dialogue in
      let outcome = try await dialogue.deduct()
      guard case .unknown(let reason) = outcome else { throw Unexpected(outcome) }
      #expect(reason.contains("frozen"))
    }
  }

  @Test("A reply lost, and the resend answered by an error: FENCE decides")
  func lostThenError() async throws {
    let oom = ScriptedPeer.Reaction.error("OOM command not allowed when used memory > 'maxmemory'.")
    try await Dialogue.run([.hangUp, oom, .status("LIVE", 8, 3), .record(user: "user-1")]) { dialogue in
      expect(try await dialogue.deduct(), is: .accepted(remaining: 8, sequence: 3, isRepeat: true))
    }
    try await Dialogue.run([.hangUp, oom, .status("OK", 8, 3)]) { dialogue in
      let error = await dialogue.error { _ throws(StockError) in try await dialogue.deduct() }
      #expect(error?.code == .outOfMemory)
    }
  }

  @Test("A reply lost, and the bucket gone: unknown, as it may have gone with the purchase")
  func lostThenNoBucket() async throws {
    let gone = ScriptedPeer.Reaction.error("NOBUCKET no bucket at this key")
    try await Dialogue.run([.hangUp, gone, gone]) { dialogue in
      let outcome = try await dialogue.deduct()
      guard case .unknown(let reason) = outcome else { throw Unexpected(outcome) }
      #expect(reason.contains("NOBUCKET") && reason.contains("STOCK.FENCE doorbuster:{X/0}"))
    }
  }

  @Test("A server that dies with the command and stays away: unknown at the deadline")
  func diesAfterSending() async throws {
    let peer = try ScriptedPeer { _ in .hangUp }
    try await Dialogue.run(peer) { dialogue in
      // The listener goes with the first command: the connection is there, and there will be no other.
      try await dialogue.client.redis?.connect()
      peer.stopListening()
      let outcome = try await dialogue.deduct(within: .milliseconds(300))
      guard case .unknown = outcome else { throw Unexpected(outcome) }
      #expect(peer.commands == ["STOCK.DEDUCT"])
    }
  }

  @Test("A server that was away all the time: unavailable, as nothing was sent")
  func deadBeforeSending() async throws {
    let peer = try ScriptedPeer { _ in .status("OK") }
    peer.stopListening()
    try await Dialogue.run(peer) { dialogue in
      let error = await dialogue.error { _ throws(StockError) in
        try await dialogue.deduct(within: .milliseconds(200))
      }
      #expect(error?.code == .unavailable)
      #expect(error?.isTransient == true)
      #expect(error?.message.contains("127.0.0.1:\(peer.port)") == true)
      #expect(peer.commands == [])
    }
  }

  @Test("A silent server: sent again until the deadline, never after it, then unknown")
  func silence() async throws {
    let peer = try ScriptedPeer { _ in .silence }
    try await Dialogue.run(peer, timeout: .milliseconds(50)) { dialogue in
      let deadline = ContinuousClock.now + .milliseconds(300)
      let outcome = try await dialogue.client.deduct(Sample.purchase, from: Sample.bucket, before: deadline)
      guard case .unknown = outcome else { throw Unexpected(outcome) }
      #expect(ContinuousClock.now >= deadline - .milliseconds(50))
      #expect(Set(peer.commands) == ["STOCK.DEDUCT"])
      #expect(peer.commands.count > 1)
    }
  }

  @Test("After the deadline nothing is sent at all")
  func deadlineBefore() async throws {
    try await Dialogue.run([]) { dialogue in
      try await dialogue.client.redis?.connect()
      let error = await dialogue.error { _ throws(StockError) in try await dialogue.deduct(within: .zero) }
      #expect(error?.code == .unavailable)
    }
  }

  @Test("A passing error is waited out")
  func loading() async throws {
    let loading = ScriptedPeer.Reaction.error("LOADING Redis is loading the dataset in memory")
    try await Dialogue.run([loading, loading, .status("SOLDOUT")]) { dialogue in
      expect(try await dialogue.deduct(), is: .refused(.soldOut, remaining: 0))
    }
  }

  @Test(
    "A reply that is not STOCK's leaves the outcome unknown, and nothing is sent again",
    arguments: [
      ":1\r\n", "*2\r\n+OK\r\n:1\r\n", "*3\r\n+ok\r\n:1\r\n:1\r\n", "*3\r\n+OK\r\n:1\r\n$1\r\n1\r\n", "$-1\r\n",
      "+OK\r\n",
      "*3\r\n+LIVE\r\n:1\r\n:1\r\n",
    ]
  )
  func nonsense(reply: String) async throws {
    try await Dialogue.run([.reply(reply)]) { dialogue in
      let outcome = try await dialogue.deduct()
      guard case .unknown = outcome else { throw Unexpected(outcome) }
    }
  }

  @Test("A cancelled task waits for the reply of what it has sent")
  func cancelledTask() async throws {
    let arrived = AsyncStream<Void>.makeStream()
    let mayReply = DispatchSemaphore(value: 0)
    let peer = try ScriptedPeer { _ in
      arrived.continuation.yield()
      mayReply.wait()
      return .status("OK", 8, 3)
    }
    try await Dialogue.run(peer) { dialogue in
      let call = Task { try await dialogue.deduct() }
      for await _ in arrived.stream { break }
      call.cancel()
      mayReply.signal()
      expect(try await call.value, is: .accepted(remaining: 8, sequence: 3, isRepeat: false))
    }
  }

  @Test("A purchase of another product is not sent")
  func otherProduct() async throws {
    try await Dialogue.run([]) { dialogue in
      let other = BucketID(sku: try SKU("Y"), index: 0)
      let error = await dialogue.error { client throws(StockError) in
        try await client.deduct(Sample.purchase, from: other, before: .now + .seconds(5))
      }
      #expect(error?.message == "STOCK.DEDUCT: a purchase of X does not belong to bucket Y/0")
    }
  }
}

struct Unexpected: Error {
  var outcome: DeductOutcome
  init(_ outcome: DeductOutcome) { self.outcome = outcome }
}
