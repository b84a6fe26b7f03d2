import Testing

@testable import RedisDriver

extension Outbox where Ticket == String {
  /// Adds a command whose bytes are its name.
  fileprivate mutating func add(
    _ name: String,
    _ retry: CallOptions.Retry = .ifUnsent,
    whenUnreachable: CallOptions.WhenUnreachable = .wait,
    deadline: Int64 = 1000,
    replies: Int = 1,
    now: Int64 = 0
  ) {
    Array(name.utf8).withUnsafeBytes { writer.buffer.append($0) }
    append(
      Entry(
        id: UInt64(name.hashValue.magnitude),
        bytes: name.utf8.count,
        replies: replies,
        retry: retry,
        whenUnreachable: whenUnreachable,
        timeout: 100_000_000,
        deadline: at(deadline),
        queuedAt: at(now),
        ticket: name
      )
    )
  }

  fileprivate mutating func abandon(_ name: String) -> Int? { abandon(UInt64(name.hashValue.magnitude))?.lostSendings }

  fileprivate var text: String { String(decoding: writer.buffer.bytes, as: UTF8.self) }
  fileprivate var unsentText: String { String(decoding: unsent, as: UTF8.self) }
}

/// `name code lostSendings`, one after the other.
private func told(_ failed: [Outbox<String>.Failed]) -> [String] {
  failed.map { "\($0.ticket) \($0.failure) \($0.lostSendings)" }
}

@Suite struct OutboxTests {
  @Test("Commands are in flight once their last byte is taken, and leave in order")
  func order() {
    var box = Outbox<String>()
    box.add("aaaa")
    box.add("bb")
    expectEqual(box.unsentText, "aaaabb")
    box.markSent(5, now: at(0))
    expectEqual(box.inFlight, 1)
    expectEqual(box.unsentText, "b")
    box.markSent(1, now: at(0))
    expectEqual(box.inFlight, 2)
    expectEqual(box.oldestInFlight?.ticket, "aaaa")
    box.removeOldest()
    expectEqual(box.oldestInFlight?.ticket, "bb")
    box.removeOldest()
    expectTrue(box.isEmpty && !box.hasUnsent && box.text.isEmpty)
    box.removeOldest()
    expectTrue(box.isEmpty)
  }

  struct Loss: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let loss: Outbox<String>.Loss
    let now: Int64
    let failed: [String]
    let left: String
  }

  // Sent: A (always), o (once), Z (always, deadline 10). Half sent: hh (once). Unsent: U (always), u (once), x (once,
  // deadline 10).
  static let losses = [
    Loss(
      testDescription: "a disconnection fails only what was sent and must not be sent twice",
      loss: .disconnected,
      now: 5,
      failed: ["o replyLost 1"],
      left: "AZhhUux"
    ),
    Loss(
      testDescription: "past their deadline commands are not sent, nor sent again",
      loss: .disconnected,
      now: 10,
      failed: ["o replyLost 1", "Z replyLost 1", "x notSent 0"],
      left: "AhhUu"
    ),
    Loss(
      testDescription: "a time-out sends the silent command again too",
      loss: .timedOut,
      now: 5,
      failed: ["o replyLost 1"],
      left: "AZhhUux"
    ),
    Loss(
      testDescription: "a time-out past the deadline is told as such to the silent command",
      loss: .timedOut,
      now: 1000,
      failed: [
        "A timedOut 1", "o replyLost 1", "Z replyLost 1", "hh notSent 0", "U notSent 0", "u notSent 0", "x notSent 0",
      ],
      left: ""
    ),
    Loss(
      testDescription: "a reply that can't be understood fails its command, retryable or not",
      loss: .protocolViolation,
      now: 5,
      failed: ["A protocolViolation 1", "o replyLost 1"],
      left: "ZhhUux"
    ),
  ]

  @Test("When the connection is lost", arguments: losses)
  func loss(_ row: Loss) {
    var box = Outbox<String>()
    box.add("A", .always)
    box.add("o")
    box.add("Z", .always, deadline: 10)
    box.add("hh")
    box.add("U", .always)
    box.add("u")
    box.add("x", deadline: 10)
    box.markSent(4, now: at(0))
    expectEqual(box.inFlight, 3)
    expectEqual(told(box.lose(row.loss, now: at(row.now))), row.failed)
    expectEqual(box.text, row.left)
    expectEqual(box.unsentText, row.left)
    expectEqual(box.inFlight, 0)
  }

  @Test("Of a block that is on its way in part the first replies may come, and its loss leaves the outcome unknown")
  func blockUnderWay() {
    for retry in [CallOptions.Retry.ifUnsent, .always] {
      var box = Outbox<String>()
      box.add("aabbcc", retry, replies: 3)
      box.add("dd", replies: 2)
      expectTrue(box.oldestInFlight == nil)
      box.markSent(3, now: at(0))
      expectEqual(box.inFlight, 0)
      expectEqual(box.oldestInFlight?.replies, 3)
      let failed = told(box.lose(.disconnected, now: at(1)))
      expectEqual(failed, retry == .always ? [] : ["aabbcc replyLost 1"])
      expectEqual(box.text, retry == .always ? "aabbccdd" : "dd")
      expectEqual(box.oldest?.lostSendings, retry == .always ? 1 : 0)
    }
    var box = Outbox<String>()
    box.add("aabb", replies: 2)
    box.markSent(1, now: at(0))
    expectEqual(told(box.failAll(.unreachable)), ["aabb replyLost 1"])
  }

  @Test("Every sending without reply is counted, and the count outlives reconnections")
  func counts() {
    var box = Outbox<String>()
    box.add("A", .always)
    for _ in 0..<3 {
      box.markSent(1, now: at(0))
      expectTrue(box.lose(.disconnected, now: at(1)).isEmpty)
    }
    expectEqual(box.oldest?.lostSendings, 3)
    expectEqual(told(box.lose(.disconnected, now: at(1000))), ["A replyLost 3"])
  }

  @Test("Commands past their deadline are taken out unless a byte of them is on its way")
  func expiry() {
    var box = Outbox<String>()
    box.add("aa", deadline: 10)
    box.add("bb", deadline: 10)
    box.add("cc", deadline: 10)
    box.add("dd", deadline: 20)
    box.markSent(3, now: at(0))
    expectEqual(box.waitingDue, at(10))
    expectTrue(box.expire(now: at(9)).isEmpty)
    expectEqual(told(box.expire(now: at(10))), ["cc notSent 0"])
    expectEqual(box.unsentText, "bdd")
    expectEqual(box.waitingDue, at(20))
    expectTrue(box.expire(now: at(19)).isEmpty)
    box.markSent(1, now: at(0))
    expectEqual(box.inFlight, 2)
    expectEqual(told(box.expire(now: at(20))), ["dd notSent 0"])
    expectEqual(box.waitingDue, nil)
  }

  @Test("A failed attempt to connect fails those that don't want to wait, and a sent one's outcome stays unknown")
  func impatience() {
    var box = Outbox<String>()
    box.add("a", .always, whenUnreachable: .fail)
    box.markSent(1, now: at(0))
    _ = box.lose(.disconnected, now: at(1))
    box.add("b")
    box.add("c", whenUnreachable: .fail)
    expectEqual(told(box.failImpatient()), ["a replyLost 1", "c unreachable 0"])
    expectEqual(box.text, "b")
  }

  @Test("An abandoned command keeps its place once a byte is sent, leaves at once if unsent, and is never sent again")
  func abandoned() {
    var box = Outbox<String>()
    box.add("aa", .always)
    box.add("bb", .always)
    box.add("cc", .always)
    box.markSent(3, now: at(0))
    expectEqual(box.abandon("aa"), 1)
    expectEqual(box.abandon("aa"), nil)
    // The rest of it follows, so the server may carry it out.
    expectEqual(box.abandon("bb"), 1)
    expectEqual(box.abandon("cc"), 0)
    expectEqual(box.abandon("dd"), nil)
    expectEqual(box.text, "aabb")
    expectEqual(box.oldestInFlight?.bytes, 2)
    expectTrue(!box.hasListeners)
    box.add("ee", .always)
    expectTrue(box.lose(.disconnected, now: at(1)).isEmpty)
    expectEqual(box.text, "ee")
  }

  @Test("The oldest command's time runs from its last byte, and starts anew with a connection")
  func replyDue() {
    var box = Outbox<String>()
    box.add("aaaa", .always, now: 0)
    expectEqual(box.replyDue, at(100))
    box.markSent(1, now: at(40))
    expectEqual(box.replyDue, at(140))
    box.markSent(3, now: at(50))
    box.add("b", now: 60)
    box.markSent(1, now: at(60))
    expectEqual(box.replyDue, at(150))
    box.removeOldest()
    expectEqual(box.replyDue, at(160))
    box.add("c", .always)
    _ = box.lose(.disconnected, now: at(200))
    box.restart(now: at(300))
    expectEqual(box.replyDue, at(400))
  }

  @Test("Closing tells each caller once, and those whose command was sent that its outcome is unknown")
  func closing() {
    var box = Outbox<String>()
    box.add("a")
    box.add("b")
    box.markSent(1, now: at(0))
    expectEqual(told(box.failAll(.unreachable)), ["a replyLost 1", "b unreachable 0"])
    expectTrue(box.isEmpty && box.text.isEmpty)
  }

  @Test("Whatever happens, every caller hears once, order is kept, and only whole commands are left")
  func random() {
    let seed = UInt64.random(in: 1...UInt64.max)
    var generator = SeededGenerator(seed)
    for round in 0..<200 {
      var world = World(generator: generator)
      for _ in 0..<60 { world.step() }
      generator = world.generator
      guard world.finish() else {
        Issue.record("round \(round), seed \(seed): \(world.problem)")
        return
      }
    }
  }

  /// Plays a server that gets bytes and answers whole commands, and checks what it gets.
  private struct World: ~Copyable {
    var generator: SeededGenerator
    var box = Outbox<String>()
    var now: Int64 = 0
    var added = 0
    var outcomes: [String: Int] = [:]
    var lastReceived = -1
    var received = ""
    var problem = ""

    init(generator: SeededGenerator) { self.generator = generator }

    mutating func step() {
      now += Int64.random(in: 0...3, using: &generator)
      switch Int.random(in: 0..<10, using: &generator) {
      case 0...3:
        box.add(
          "<\(added)>",
          Bool.random(using: &generator) ? .always : .ifUnsent,
          whenUnreachable: Bool.random(using: &generator) ? .wait : .fail,
          deadline: now + Int64.random(in: 1...60, using: &generator),
          now: now
        )
        added += 1
      case 4, 5: send()
      case 6, 7: answer()
      case 8:
        if added > 0 {
          let name = "<\(Int.random(in: 0..<added, using: &generator))>"
          if box.abandon(name) != nil { outcomes[name, default: 0] += 1 }
        }
      default:
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: lose(.disconnected)
        case 1: lose(.timedOut)
        case 2: hear(box.expire(now: at(now)))
        default: lose(.protocolViolation)
        }
      }
      // What is left is whole commands, in order.
      let names = box.text.split(separator: ">").map { Int($0.dropFirst()) ?? -1 }
      if names != names.sorted() || names.count != box.count { problem = "left: \(box.text)" }
    }

    mutating func send() {
      hear(box.expire(now: at(now)))
      guard box.hasUnsent else { return }
      let bytes = box.unsent
      let count = Int.random(in: 1...bytes.count, using: &generator)
      received += String(decoding: bytes.prefix(count), as: UTF8.self)
      box.markSent(count, now: at(now))
      checkReceived()
    }

    mutating func checkReceived() {
      // On one connection no command comes twice or out of order.
      let names = received.split(separator: ">", omittingEmptySubsequences: false).dropLast().map {
        Int($0.dropFirst())
      }
      if zip(names, names.dropFirst()).contains(where: { ($0 ?? -1) >= ($1 ?? -1) }) {
        problem = "received: \(received)"
      }
    }

    mutating func answer() {
      guard let oldest = box.oldestInFlight else { return }
      if let name = oldest.ticket { outcomes[name, default: 0] += 1 }
      box.removeOldest()
    }

    mutating func lose(_ loss: Outbox<String>.Loss) {
      hear(box.lose(loss, now: at(now)))
      hear(box.failImpatient())
      box.restart(now: at(now))
      received = ""
    }

    mutating func hear(_ failed: [Outbox<String>.Failed]) {
      for item in failed { outcomes[item.ticket, default: 0] += 1 }
    }

    mutating func finish() -> Bool {
      hear(box.failAll(.unreachable))
      let missing = (0..<added).filter { outcomes["<\($0)>"] != 1 }
      if !missing.isEmpty { problem += " outcomes: \(missing)" }
      return problem.isEmpty
    }
  }
}
