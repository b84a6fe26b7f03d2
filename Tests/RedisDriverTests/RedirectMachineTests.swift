import Testing

@testable import RedisDriver

/// What follows each failure of one command in a cluster.
@Suite final class RedirectMachineTests {
  private typealias Step = RedirectMachine.Step
  private let other = NodeAddress(host: "b", port: 2)
  private let slot = HashSlot(number: 866)
  private let backOff = BackOff(first: .milliseconds(2), longest: .milliseconds(8))

  /// One command's machine, whose sendings all went to the same node.
  private final class Call {
    var machine: RedirectMachine
    private var longest = Longest()

    init(_ machine: RedirectMachine) { self.machine = machine }

    func failed(_ error: RedisError, at ms: Int64 = 0) -> Step {
      machine.failed(error, from: NodeAddress(host: "a", port: 1), now: RedisDriverTests.at(ms), using: &longest)
    }

    func homeless() -> Step { machine.homeless(now: RedisDriverTests.at(0), using: &longest) }
  }

  private func call(_ retry: CallOptions.Retry = .always, unreachable: CallOptions.WhenUnreachable = .wait) -> Call {
    Call(RedirectMachine(retry: retry, whenUnreachable: unreachable, deadline: at(1000), backOff: backOff))
  }

  private func server(_ text: String) -> RedisError { RedisError(.serverError, text, server: "a:1") }

  private func milliseconds(_ number: Int64) -> RedirectMachine.Action { .wait(number * 1_000_000) }

  @Test("MOVED is followed at once and is news; ASK is followed for this once and is none")
  func redirections() {
    let command = call()
    let moved = command.failed(server("MOVED 866 b:2"))
    #expect(moved == Step(action: .send(.node(other, asking: false)), news: .moved(slot, to: other)))
    let ask = command.failed(server("ASK 866 b:2"))
    #expect(ask == Step(action: .send(.node(other, asking: true)), news: .none))
    let here = command.failed(server("MOVED 866 :2"))
    #expect(here.action == .send(.node(NodeAddress(host: "a", port: 2), asking: false)))
  }

  @Test("Nodes that contradict each other: the first five are followed at once, more with waits, sixteen at most")
  func contradiction() {
    let command = call()
    for _ in 0..<5 { #expect(command.failed(server("MOVED 866 b:2")).action == .send(.node(other, asking: false))) }
    for wait: Int64 in [2, 4, 8, 8, 8, 8, 8, 8, 8, 8, 8] {
      let step = command.failed(server("MOVED 866 b:2"))
      #expect(step == Step(action: milliseconds(wait), news: .moved(slot, to: other)))
    }
    guard case .fail(let error) = command.failed(server("ASK 866 b:2")).action else {
      Issue.record("a seventeenth was followed")
      return
    }
    #expect(error.code == .redirectedTooOften && !error.outcomeIsUnknown)
  }

  @Test(
    "A redirection that can't be read ends the command",
    arguments: ["MOVED", "MOVED 1", "ASK 16384 b:2", "MOVED x b:2", "ASK 1 b"]
  )
  func malformed(text: String) {
    let command = call()
    #expect(command.failed(server(text)) == Step(action: .fail(server(text)), news: .none))
  }

  @Test("What passes is waited out, and what it says of the map is reported")
  func passing() {
    let command = call()
    #expect(command.failed(server("TRYAGAIN Multiple keys")) == Step(action: milliseconds(2), news: .none))
    #expect(command.failed(server("CLUSTERDOWN Hash slot not served")) == Step(action: milliseconds(4), news: .stale))
    #expect(command.failed(server("LOADING Redis is loading")) == Step(action: milliseconds(8), news: .stale))
    #expect(command.failed(server("READONLY You can't write")) == Step(action: milliseconds(8), news: .stale))
    #expect(command.failed(server("MASTERDOWN Link with MASTER")) == Step(action: milliseconds(8), news: .stale))
    let homeless = command.homeless()
    #expect(homeless == Step(action: milliseconds(8), news: .stale))
  }

  @Test(
    "Any other error is the command's own answer",
    arguments: ["ERR no", "OOM command", "NOBUCKET x", "NOPERM", "CROSSSLOT x"]
  )
  func ownErrors(text: String) {
    let command = call()
    #expect(command.failed(server(text)) == Step(action: .fail(server(text)), news: .none))
  }

  @Test("A lost reply: sent again where that is allowed, and counted over all nodes")
  func lostReplies() {
    let lost = RedisError(.replyLost, "connection lost", server: "a:1", lostSendings: 1)
    let once = call(.ifUnsent)
    #expect(once.failed(lost) == Step(action: .fail(lost), news: .stale))
    let command = call()
    #expect(command.failed(lost) == Step(action: milliseconds(2), news: .stale))
    let silent = RedisError(.timedOut, "no reply", server: "b:2", lostSendings: 1)
    #expect(command.failed(silent) == Step(action: milliseconds(4), news: .stale))
    _ = command.failed(server("MOVED 866 b:2"))
    #expect(command.machine.lostSendings == 2)
    guard case .fail(let error) = command.failed(server("OOM command")).action else {
      Issue.record("an answer was not taken for one")
      return
    }
    #expect(error.serverErrorPrefix == "OOM" && error.lostSendings == 2 && error.outcomeIsUnknown)
  }

  @Test("A node that can't be reached is tried again, unless the caller wants to know at once")
  func unreachable() {
    let refused = RedisError(.cannotConnect, "Connection refused", server: "a:1")
    let command = call(.ifUnsent)
    #expect(command.failed(refused) == Step(action: milliseconds(2), news: .stale))
    let impatient = call(unreachable: .fail)
    #expect(impatient.failed(refused) == Step(action: .fail(refused), news: .stale))
  }

  @Test("Nothing is sent after the deadline; a command that may have run ends as one whose reply was lost")
  func deadline() {
    let refused = RedisError(.cannotConnect, "Connection refused", server: "a:1")
    let fresh = call()
    #expect(fresh.failed(refused, at: 998) == Step(action: .fail(refused), news: .stale))
    let command = call()
    _ = command.failed(RedisError(.replyLost, "connection lost", lostSendings: 1))
    let end = command.failed(refused, at: 999)
    let lost = RedisError(.replyLost, "Connection refused", server: "a:1", lostSendings: 1)
    #expect(end == Step(action: .fail(lost), news: .stale))
  }

  @Test("What no other node would mend ends the command")
  func hopeless() {
    for code in [RedisError.Code.refused, .cancelled, .closed, .protocolViolation, .unexpectedReply] {
      let command = call()
      let error = RedisError(code, "why", server: "a:1")
      #expect(command.failed(error) == Step(action: .fail(error), news: .none))
    }
    let command = call()
    _ = command.failed(RedisError(.replyLost, "connection lost", lostSendings: 1))
    #expect(command.machine.cancelled().lostSendings == 1)
  }
}
