import Glibc

/// How a link gets its connection, reads from it, and loses it.
extension Link {
  /// -1 without a socket.
  var descriptor: Int32 { connection?.socket.descriptor ?? -1 }

  var pollEvents: Int16 {
    guard let connection else { return 0 }
    if case .connecting = machine.state { return Int16(POLLOUT) }
    return Int16(POLLIN) | (connection.wantsToWrite ? Int16(POLLOUT) : 0)
  }

  func connect(_ now: MonotonicTime) {
    attempt += 1
    switch url.endpoint {
    case .unix(let path):
      candidates = [SocketAddress(path: path)]
      connectToNextCandidate(RedisError(.cannotConnect, "cannot connect"), now)
    case .tcp(let host, let port):
      let numeric = SocketAddress.resolve(host: host, port: port, numericOnly: true)
      if case .success = numeric { return resolved(numeric, attempt: attempt, now) }
      resolveName(host, port, now)
    }
  }

  /// A resolver may take seconds, so it gets a thread of its own.
  private func resolveName(_ host: String, _ port: Int, _ now: MonotonicTime) {
    let attempt = attempt
    guard let thread else { return }
    do throws(RedisError) {
      try startThread { [self] in
        let result = SocketAddress.resolve(host: host, port: port, numericOnly: false)
        _ = thread.post(.resolved(self, attempt: attempt, result))
      }
    } catch {
      attemptFailed(error, now)
    }
  }

  func resolved(_ result: Result<[SocketAddress], RedisError>, attempt: Int, _ now: MonotonicTime) {
    guard attempt == self.attempt, case .connecting = machine.state, connection == nil else { return }
    switch result {
    case .success(let addresses):
      candidates = machine.order(addresses)[...]
      connectToNextCandidate(RedisError(.cannotConnect, "cannot connect: the host has no address"), now)
    case .failure(let error):
      attemptFailed(error, now)
    }
  }

  /// Begins to connect to the first address that does not fail at once.
  func connectToNextCandidate(_ failure: RedisError, _ now: MonotonicTime) {
    connection = nil
    var failure = failure
    while let address = candidates.popFirst() {
      machine.tries(addressesLeft: candidates.count + 1, now: now)
      do throws(RedisError) {
        let socket = try Socket.connecting(to: address, underWayMs: timeout / 1_000_000)
        guard let parser = ReplyParser() else { throw RedisError(.systemFailure, "no memory for a reader") }
        connection = Connection(socket, parser)
        return
      } catch {
        failure = error
      }
    }
    attemptFailed(failure, now)
  }

  /// The socket is ready for what was asked of it, or not at all.
  func ready(_ events: Int16, _ now: MonotonicTime) {
    guard let connection else { return }
    guard events != 0 else {
      connection.isDrained = true
      return
    }
    switch machine.state {
    case .idle, .backingOff: break
    case .connecting: finishConnecting(connection, now)
    case .greeting, .ready:
      if events & Int16(POLLOUT) != 0 { connection.wantsToWrite = false }
      if events & Int16(POLLIN | POLLHUP | POLLERR) != 0 { receive(connection, now) }
    }
  }

  private func finishConnecting(_ connection: Connection, _ now: MonotonicTime) {
    let error = connection.socket.connectError
    guard error == 0 else {
      let failure = RedisError(.cannotConnect, "cannot connect: \(systemError(error))")
      return connectToNextCandidate(failure, now)
    }
    machine.connected()
    subscription?.asked(now)
    var writer = CommandWriter()
    greeting.write(url, to: &writer)
    // A new socket has room for these few bytes; where it has not, something is wrong with it.
    guard connection.socket.send(writer.buffer.bytes) == .bytes(writer.buffer.count) else {
      return attemptFailed(RedisError(.cannotConnect, "cannot connect: the connection was closed at once"), now)
    }
  }

  /// The attempt to connect has come to nothing; with `hopeless`, another would not help.
  func attemptFailed(_ error: RedisError, hopeless: Bool = false, _ now: MonotonicTime) {
    connection = nil
    candidates = []
    lastFailure = error
    machine.failed(now: now, using: &generator)
    logger.debug("No connection", metadata: ["server": "\(server)", "cause": "\(error.message)"])
    fail(hopeless ? outbox.failAll(.unreachable) : outbox.failImpatient(), cause: error)
    cluster?.trouble(url.endpoint, now)
    subscription?.down(error)
  }

  /// The connection is gone. What may be sent again waits for the next one.
  func lose(_ loss: Outbox<Completion>.Loss, _ cause: RedisError, _ now: MonotonicTime) {
    guard connection != nil else { return }
    guard machine.state == .ready else { return attemptFailed(cause, now) }
    connection = nil
    losses.wrappingAdd(1, ordering: .releasing)
    lastFailure = cause
    machine.failed(now: now, using: &generator)
    let commands = outbox.inFlight
    let failed = outbox.lose(loss, now: now)
    logger.info(
      "Connection lost",
      metadata: [
        "server": "\(server)", "cause": "\(cause.message)", "inFlight": "\(commands)", "failed": "\(failed.count)",
      ]
    )
    fail(failed, cause: cause)
    cluster?.trouble(url.endpoint, now)
    subscription?.down(cause)
  }
}

/// Reading.
extension Link {
  /// How often the socket is read before others get their turn.
  private static let readsMax = 8

  private func receive(_ connection: Connection, _ now: MonotonicTime) {
    guard let thread else { return }
    for _ in 0..<Self.readsMax {
      switch connection.socket.receive(into: thread.readBuffer) {
      case .bytes(let count):
        connection.isDrained = count < thread.readBuffer.count
        parse(UnsafeRawBufferPointer(rebasing: thread.readBuffer[..<count]), connection, now)
        if connection.isDrained || self.connection !== connection { return }
      case .wouldBlock:
        connection.isDrained = true
        return
      case .ended:
        let code: RedisError.Code = machine.state == .ready ? .replyLost : .cannotConnect
        return lose(.disconnected, RedisError(code, "connection closed by the server"), now)
      case .failed(let number):
        let code: RedisError.Code = machine.state == .ready ? .replyLost : .cannotConnect
        return lose(.disconnected, RedisError(code, "connection lost: \(systemError(number))"), now)
      }
    }
    connection.isDrained = false
  }

  private func parse(_ bytes: UnsafeRawBufferPointer, _ connection: Connection, _ now: MonotonicTime) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let slice = rest.prefix(ReplyParser.feedBytesMax)
      rest = rest.dropFirst(slice.count)
      connection.parser.feed(UnsafeRawBufferPointer(rebasing: slice))
      var outcome = connection.parser.next()
      while outcome == .whole {
        take(connection, now)
        guard self.connection === connection else { return }
        outcome = connection.parser.next()
      }
      if case .malformed(let reason) = outcome {
        let violation = RedisError(.protocolViolation, "protocol violation: \(reason)")
        return lose(.protocolViolation, violation, now)
      }
    }
  }

  /// Deals with the reply that the parser has just finished.
  private func take(_ connection: Connection, _ now: MonotonicTime) {
    if machine.state == .ready {
      takeReply(connection, now)
    } else {
      takeGreeting(connection, now)
    }
  }

  private func takeReply(_ connection: Connection, _ now: MonotonicTime) {
    let tape = connection.parser.tape
    if let subscription {
      if subscription.take(tape) { return tape.clear() }
      subscription.answered()
    }
    guard let oldest = outbox.oldestInFlight else {
      let said = tape.isError ? ": \(tape.firstText)" : ""
      let violation = RedisError(.protocolViolation, "protocol violation: a reply to no command\(said)")
      return lose(.disconnected, violation, now)
    }
    connection.repliesSeen += 1
    // The replies to a block stay on the tape, one after the other, until the last.
    guard connection.repliesSeen >= oldest.replies else { return }
    guard outbox.inFlight > 0 else {
      let violation = RedisError(.protocolViolation, "protocol violation: a reply to a command that was not sent yet")
      return lose(.protocolViolation, violation, now)
    }
    connection.repliesSeen = 0
    outbox.removeOldest()
    machine.answered()
    if let ticket = oldest.ticket {
      if tape.isError, oldest.replies == 1 {
        ticket.fail(RedisError(.serverError, tape.firstText, server: server, lostSendings: oldest.lostSendings))
      } else {
        ticket.succeed(tape, lostSendings: oldest.lostSendings, connection: connectionEpoch, server: server)
      }
    }
    tape.clear()
  }

  private func takeGreeting(_ connection: Connection, _ now: MonotonicTime) {
    let tape = connection.parser.tape
    let step = greeting.steps[connection.repliesSeen]
    // Events come as soon as the first channel is subscribed to.
    if let subscription, subscription.take(tape) { return tape.clear() }
    let verdict = greeting.judge(step, error: tape.isError ? tape.firstText : nil)
    if step == .inquire { subscription?.learn(tape) }
    tape.clear()
    switch verdict {
    case .ok: break
    case .notNow(let message): return attemptFailed(RedisError(.cannotConnect, "not ready: \(message)"), now)
    case .refused(let message): return attemptFailed(RedisError(.refused, message), hopeless: true, now)
    }
    connection.repliesSeen += 1
    guard connection.repliesSeen == greeting.steps.count else { return }
    connection.repliesSeen = 0
    machine.greeted()
    lastFailure = nil
    outbox.restart(now: now)
    logger.debug("Connected", metadata: ["server": "\(server)", "waiting": "\(outbox.count)"])
    subscription?.up()
    flush()
  }
}
