import RedisDriver
import Stock
import Synchronization
import Testing

@testable import StockClient

/// Changes that count only once replicas have them.
@Suite struct ReplicationTests {
  private let options = StockClientOptions(replication: Replication(count: 2, timeout: .milliseconds(70)))

  @Test("A deduction that enough replicas have is accepted; WAIT names their number and the time")
  func replicated() async throws {
    let heard = Mutex<[[String]]>([])
    let peer = try ScriptedPeer { command in
      heard.withLock { $0.append(command) }
      return command[0] == "WAIT" ? .reply(":2\r\n") : .status("OK", 8, 3)
    }
    try await Dialogue.run(peer, options: options) { dialogue in
      expect(try await dialogue.deduct(), is: .accepted(remaining: 8, sequence: 3, isRepeat: false))
    }
    #expect(heard.withLock { $0.last } == ["WAIT", "2", "70"])
    #expect(peer.commands == ["STOCK.DEDUCT", "WAIT"])
  }

  @Test("One that fewer have is unknown", arguments: [":1\r\n", ":0\r\n"])
  func short(answer: String) async throws {
    try await Dialogue.run([.status("OK", 8, 3), .reply(answer)], options: options) { dialogue in
      let outcome = try await dialogue.deduct()
      guard case .unknown(let reason) = outcome else { throw Unexpected(outcome) }
      #expect(reason.contains("fewer than 2 replicas had it within 0.07 seconds"))
    }
  }

  @Test("One where that can't be learnt is unknown, and says why")
  func untold() async throws {
    let noWait = ScriptedPeer.Reaction.error("NOPERM no permissions to run the 'wait' command")
    let noSet = ScriptedPeer.Reaction.error("NOPERM no permissions to run the 'set' command")
    let scripts: [[ScriptedPeer.Reaction]] = [
      [.status("OK", 8, 3), noWait], [.status("DUPLICATE", 8, 3), noSet, .reply(":2\r\n")],
      [.status("DUPLICATE", 8, 3), .ok, noWait],
    ]
    for script in scripts {
      try await Dialogue.run(script, options: options) { dialogue in
        let outcome = try await dialogue.deduct()
        guard case .unknown(let reason) = outcome else { throw Unexpected(outcome) }
        #expect(reason.contains("whether 2 replicas have it could not be learnt: NOPERM"))
      }
    }
  }

  /// A master that asks its replicas, as Redis 7.2 does, for no more than the asking connection's last command that was
  /// replicated.
  private struct Master {
    var isHung = true
    private var offset = 0
    private var acknowledged = 0
    /// Of the one connection that there is.
    private var connectionOffset = 0
    private var isTaken = false

    mutating func react(to command: [String]) -> ScriptedPeer.Reaction {
      switch command[0] {
      case "STOCK.DEDUCT" where isTaken: return .status("DUPLICATE", 8, 3)
      case "STOCK.DEDUCT":
        isTaken = true
        replicate()
        connectionOffset = 0
        return .hangUp
      case "SET":
        #expect(command == ["SET", "doorbuster:{X/0}:replicated", "", "PX", "1000"])
        replicate()
        return .ok
      case "WAIT":
        if !isHung { acknowledged = offset }
        return .reply(acknowledged >= connectionOffset ? ":2\r\n" : ":0\r\n")
      default: return .error("ERR unknown command")
      }
    }

    private mutating func replicate() {
      offset += 1
      connectionOffset = offset
    }
  }

  @Test("A resent deduction is not accepted before replicas have what an earlier connection's sending has changed")
  func earlierConnection() async throws {
    let master = Mutex(Master())
    let peer = try ScriptedPeer { command in master.withLock { $0.react(to: command) } }
    try await Dialogue.run(peer, options: options) { dialogue in
      let outcome = try await dialogue.deduct()
      guard case .unknown(let reason) = outcome else { throw Unexpected(outcome) }
      #expect(reason.contains("fewer than 2 replicas"))
      master.withLock { $0.isHung = false }
      expect(try await dialogue.deduct(), is: .accepted(remaining: 8, sequence: 3, isRepeat: true))
    }
  }

  @Test("A repetition waits too: the first sending may not be with the replicas yet")
  func duplicate() async throws {
    let script: [ScriptedPeer.Reaction] = [
      .status("DUPLICATE", 8, 3), .ok, .reply(":2\r\n"), .status("DUPLICATE", 8, 3), .ok, .reply(":1\r\n"),
    ]
    try await Dialogue.run(script, options: options) { dialogue in
      expect(try await dialogue.deduct(), is: .accepted(remaining: 8, sequence: 3, isRepeat: true))
      let outcome = try await dialogue.deduct()
      guard case .unknown = outcome else { throw Unexpected(outcome) }
    }
  }

  @Test("A refusal has changed nothing and waits for nobody")
  func refusal() async throws {
    try await Dialogue.run([.status("SOLDOUT"), .status("UNKNOWN")], options: options) { dialogue in
      expect(try await dialogue.deduct(), is: .refused(.soldOut, remaining: 0))
      expect(
        try await dialogue.client.cancel(Sample.token, in: Sample.bucket, fence: false, offSale: false),
        is: .unknownToken
      )
    }
  }

  @Test("A WAIT over another connection than the change's says nothing of it")
  func otherConnection() async throws {
    try await Dialogue.run([.status("OK", 8, 3), .hangUp], options: options) { dialogue in
      let outcome = try await dialogue.deduct()
      guard case .unknown = outcome else { throw Unexpected(outcome) }
    }
  }

  @Test("FENCE decides only what replicas have")
  func fence() async throws {
    let script: [ScriptedPeer.Reaction] = [
      .hangUp, .status("SOLDOUT"), .status("OK", 0, 9), .reply(":0\r\n"), .hangUp, .status("SOLDOUT"),
      .status("OK", 0, 9), .reply(":2\r\n"),
    ]
    try await Dialogue.run(script, options: options) { dialogue in
      let outcome = try await dialogue.deduct()
      guard case .unknown = outcome else { throw Unexpected(outcome) }
      expect(try await dialogue.deduct(), is: .refused(.soldOut, remaining: 0))
    }
  }

  @Test("Another change that fewer have is replyLost: it is made, and may be lost")
  func changes() async throws {
    let script: [ScriptedPeer.Reaction] = [
      .status("OK", 9, 4), .reply(":2\r\n"), .status("OK", 9, 4), .reply(":1\r\n"),
    ]
    try await Dialogue.run(script, options: options) { dialogue in
      expect(try await dialogue.client.confirm(Sample.token, in: Sample.bucket), is: .confirmed)
      let error = await dialogue.error { client throws(StockError) in
        try await client.confirm(Sample.token, in: Sample.bucket)
      }
      #expect(error?.code == .replyLost)
    }
  }

  @Test("Many deductions that are answered together share a few WAITs")
  func shared() async throws {
    let peer = try ScriptedPeer { $0[0] == "WAIT" ? .reply(":2\r\n") : .status("OK", 8, 3) }
    try await Dialogue.run(peer, options: options) { dialogue in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<300 {
          group.addTask(executorPreference: dialogue.client.taskExecutor) {
            let outcome = try await dialogue.deduct()
            guard case .accepted = outcome else { throw Unexpected(outcome) }
          }
        }
        try await group.waitForAll()
      }
      let waits = peer.commands.count { $0 == "WAIT" }
      #expect(waits >= 1 && waits <= 100, "\(waits) for 300 deductions")
    }
  }

  @Test("A task that is cancelled while it is to send the WAIT of others leaves that to the next")
  func cancelledLeader() async throws {
    let peer = try ScriptedPeer { $0[0] == "WAIT" ? .reply(":2\r\n") : .status("OK", 8, 3) }
    try await Dialogue.run(peer, options: options) { dialogue in
      for round in 0..<50 {
        try await withThrowingTaskGroup(of: DeductOutcome.self) { group in
          for task in 0..<20 {
            group.addTask(executorPreference: task % 2 == 0 ? dialogue.client.taskExecutor : nil) {
              try await dialogue.deduct()
            }
          }
          let doomed = Task { try await dialogue.deduct() }
          for _ in 0..<(round % 10) { await Task.yield() }
          doomed.cancel()
          for try await outcome in group {
            guard case .accepted = outcome else { throw Unexpected(outcome) }
          }
          _ = try? await doomed.value
        }
      }
    }
  }
}
