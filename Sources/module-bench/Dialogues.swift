import TestServers

/// The same command again and again, each time with the next number's token and user.
struct Repetition: Dialogue {
  private let template: RequestTemplate
  private let pipeline: Int
  /// What each reply begins with.
  private let reply: [UInt8]
  private var next: UInt64
  private let end: UInt64

  init(_ template: RequestTemplate, numbers: Range<Int>, pipeline: Int, reply: String) {
    self.template = template
    self.pipeline = pipeline
    self.reply = Array(reply.utf8)
    next = UInt64(numbers.lowerBound)
    end = UInt64(numbers.upperBound)
  }

  mutating func nextBatch(of connection: Int, into buffer: inout [UInt8]) -> Int {
    let count = min(UInt64(pipeline), end - next)
    for number in next..<next + count { template.append(number, to: &buffer) }
    next += count
    return Int(count)
  }

  func take(_ reply: Slice<UnsafeBufferPointer<UInt8>>, of connection: Int) -> Bool {
    reply.starts(with: self.reply)
  }
}

/// A purchase as a client makes it without scripts: it watches the stock and the user's tokens, reads both, and writes in a
/// transaction, which fails where another changed the stock meanwhile and is then tried again.
struct WatchedPurchases: Dialogue {
  private enum Step { case reading, writing }

  private struct Purchase {
    var number: UInt64
    var step: Step
    var repliesLeft: Int
    var stock: Int64
  }

  private let watch = RequestTemplate(["WATCH", Recipe.stock, Recipe.tokensOfUser])
  private let readStock = RequestTemplate(["GET", Recipe.stock])
  private let readToken = RequestTemplate(["HEXISTS", Recipe.tokensOfUser, RequestTemplate.tokenPlace])
  private let begin = RequestTemplate(["MULTI"])
  private let end = RequestTemplate(["EXEC"])
  /// Of a token's size: the place is filled once in a request.
  private static let anyToken = String(repeating: "x", count: 36)

  private var waiting: [Purchase?]
  private var next: UInt64
  private let last: UInt64
  /// Transactions that another client's purchase broke.
  private(set) var conflicts = 0

  init(numbers: Range<Int>, connections: Int) {
    waiting = Array(repeating: nil, count: connections)
    next = UInt64(numbers.lowerBound)
    last = UInt64(numbers.upperBound)
  }

  mutating func nextBatch(of connection: Int, into buffer: inout [UInt8]) -> Int {
    guard var purchase = waiting[connection] else {
      guard next < last else { return 0 }
      waiting[connection] = read(next, into: &buffer)
      next += 1
      return 3
    }
    switch purchase.step {
    case .reading:
      // A broken transaction left the step as it was.
      waiting[connection] = read(purchase.number, into: &buffer)
      return 3
    case .writing:
      begin.append(purchase.number, to: &buffer)
      let (before, after) = (purchase.stock, purchase.stock - 1)
      let event = "{\"action\":\"deduct\",\"from\":\(before),\"to\":\(after),\"change\":1,\"by\":\"\(Self.anyToken)\"}"
      RequestTemplate(["SET", Recipe.stock, after]).append(purchase.number, to: &buffer)
      RequestTemplate(["HSET", Recipe.tokensOfUser, RequestTemplate.tokenPlace, event])
        .append(purchase.number, to: &buffer)
      end.append(purchase.number, to: &buffer)
      purchase.repliesLeft = 4
      waiting[connection] = purchase
      return 4
    }
  }

  private func read(_ number: UInt64, into buffer: inout [UInt8]) -> Purchase {
    for template in [watch, readStock, readToken] { template.append(number, to: &buffer) }
    return Purchase(number: number, step: .reading, repliesLeft: 3, stock: 0)
  }

  mutating func take(_ reply: Slice<UnsafeBufferPointer<UInt8>>, of connection: Int) -> Bool {
    guard var purchase = waiting[connection] else { return false }
    purchase.repliesLeft -= 1
    defer { waiting[connection] = purchase.repliesLeft < 0 ? nil : purchase }
    switch (purchase.step, purchase.repliesLeft) {
    case (.reading, 1):
      let digits = String(decoding: reply, as: UTF8.self).split(whereSeparator: \.isNewline).last
      guard let stock = digits.flatMap({ Int64($0) }) else { return false }
      purchase.stock = stock
      return true
    case (.reading, 0):
      purchase.step = .writing
      return reply.elementsEqual(":0\r\n".utf8)
    case (.writing, 0):
      if reply.elementsEqual("*-1\r\n".utf8) {
        conflicts += 1
        purchase.step = .reading
        return true
      }
      purchase.repliesLeft = -1
      return reply.starts(with: "*2\r\n+OK".utf8)
    case (.reading, _), (.writing, _): return reply.first != UInt8(ascii: "-")
    }
  }
}
