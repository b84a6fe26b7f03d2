import StockCore
import Testing

@Suite("Histories against an independent model")
struct HistoryTests {
  @Test("Random histories give the model's replies, books and log, and the replica's too", arguments: 0..<60)
  func randomHistories(index: UInt64) throws {
    let seed = 0x5eed + index
    var random = SeededGenerator(seed: seed)
    let limit = [0, 0, 3, 7].randomElement(using: &random) ?? 0
    var rehearsal = try Rehearsal(
      .random(in: 0...60, using: &random),
      limit: Int64(limit),
      opens: index % 3 == 0 ? 1010 : 0,
      closes: index % 4 == 0 ? 1300 : 0
    )
    var now: Int64 = 1000
    for step in 0..<400 {
      now += .random(in: 0...2, using: &random)
      let play = randomPlay(&random)
      rehearsal.play(play, now: now, "seed \(seed), step \(step): \(play)")
      if step % 100 == 99 { try rehearsal.checkAll("seed \(seed), step \(step)") }
    }
  }

  private func randomPlay(_ random: inout SeededGenerator) -> Play {
    let token = "t\(Int.random(in: 0..<120, using: &random))"
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<60:
      // Each token has its user and quantity; now and then it comes with others.
      let number = Int64(token.dropFirst()) ?? 0
      let odd = Int.random(in: 0..<20, using: &random) == 0
      return .deduct(user: "u\(number % 9)", token: token, quantity: number % 4 + (odd ? 2 : 1))
    case 60..<76:
      return .cancel(token: token, fence: .random(using: &random), offSale: Int.random(in: 0..<4, using: &random) == 0)
    case 76..<84: return .fence(token: token)
    case 84..<95:
      let number = Int64.random(in: 0..<40, using: &random)
      return .add(token: "t\(number)", quantity: number % 2 == 0 ? number / 4 + 1 : -(number / 8 + 1))
    case 95..<97: return .trim(keeping: .random(in: 0...30, using: &random))
    default:
      return .schedule(
        limit: .random(in: 0...6, using: &random),
        opens: [0, 0, 1100].randomElement(using: &random) ?? 0,
        closes: [0, 0, 1600].randomElement(using: &random) ?? 0
      )
    }
  }

  @Test("Every sequence of five commands in a world of three units gives the model's replies")
  func smallWorld() throws {
    let plays: [Play] = [
      .deduct(user: "a", token: "x", quantity: 1),
      .deduct(user: "b", token: "y", quantity: 2),
      .deduct(user: "a", token: "y", quantity: 2),
      .deduct(user: "b", token: "z", quantity: 1),
      .cancel(token: "x", fence: true, offSale: false),
      .cancel(token: "y", fence: false, offSale: true),
      .fence(token: "z"),
      .add(token: "x", quantity: -1),
      .schedule(limit: 2, opens: 0, closes: 0),
      .trim(keeping: 1),
    ]
    let length = 5
    var sequence = [Int](repeating: 0, count: length)
    var isDone = false
    while !isDone {
      var bucket = Bucket.sample(3)
      var model = ReferenceModel(quantity: 3, now: 1000)
      for step in sequence {
        let outcome = bucket.play(plays[step], now: 1001)
        var expected = model.play(plays[step], now: 1001)
        if case .schedule = plays[step] { expected.sequence = outcome.sequence }
        if outcome.reply != expected {
          Issue.record("\(sequence.map { plays[$0].description }): \(outcome.reply) instead of \(expected)")
        }
        let figures = bucket.figures
        if figures.created + figures.added != figures.available + figures.sold || figures.available < 0 {
          Issue.record("\(sequence.map { plays[$0].description }) breaks the books")
        }
      }
      isDone = !advance(&sequence, base: plays.count)
    }
  }

  private func advance(_ digits: inout [Int], base: Int) -> Bool {
    for index in digits.indices {
      digits[index] += 1
      if digits[index] < base { return true }
      digits[index] = 0
    }
    return false
  }
}
