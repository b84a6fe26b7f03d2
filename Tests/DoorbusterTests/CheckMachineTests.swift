import Messaging
import Stock
import Testing

@testable import Doorbuster

@Suite("A check-back, step by step")
struct CheckMachineTests {
  let purchase: Purchase
  let machine: CheckMachine
  init() throws {
    purchase = try Sample.purchase()
    machine = CheckMachine(HalfMessage(id: "h1", message: Sample.message(purchase, bucket: 3), sentAtMs: 0))
  }

  private func record(user: UserID?, quantity: Int64?) -> PurchaseRecord {
    PurchaseRecord(
      token: purchase.token,
      user: user,
      quantity: quantity,
      state: .sold,
      sequence: 4,
      timestampMs: 1000
    )
  }

  @Test("asks the bucket's fence, which decides: what is live is committed")
  func commitsLive() throws {
    #expect(machine.start() == .fence(purchase.token, try Sample.bucket(3)))
    #expect(machine.fenced(.live) == .lookUp(purchase.token, try Sample.bucket(3)))
    #expect(machine.found(record(user: purchase.user, quantity: 2)) == .decide(.commit))
  }

  @Test("rolls back what was fenced or cancelled")
  func rollsBack() {
    #expect(machine.fenced(.fenced) == .decide(.rollBack))
    #expect(machine.fenced(.alreadyCancelled) == .decide(.rollBack))
  }

  @Test("rolls back where the token is live for another buyer or quantity")
  func rollsBackOthers() throws {
    #expect(machine.found(record(user: try UserID("bob"), quantity: 2)) == .decide(.rollBack))
    #expect(machine.found(record(user: purchase.user, quantity: 3)) == .decide(.rollBack))
    #expect(machine.found(record(user: nil, quantity: 3)) == .decide(.rollBack))
  }

  @Test("commits what the bucket keeps in its compact form, as the database has its order")
  func commitsCompact() {
    #expect(machine.found(nil) == .decide(.commit))
    #expect(machine.found(record(user: nil, quantity: nil)) == .decide(.commit))
  }

  @Test(
    "decides nothing while the bucket is frozen, missing or out of reach",
    arguments: [
      StockError(.frozen, "frozen"), StockError(.noBucket, "missing"), Sample.stockGone, Sample.stockSilent,
    ]
  )
  func staysUndecided(error: StockError) {
    #expect(machine.stockFailed(error) == .decide(.undecided(error.message)))
  }

  @Test("never gives up a message that it can't read")
  func keepsUnreadable() {
    let half = HalfMessage(id: "h1", message: Message(topic: Sample.topic, key: [], body: [9, 9]), sentAtMs: 0)
    let reason = "purchase message of version 9; this program knows versions 1 to 3"
    #expect(CheckMachine(half).start() == .decide(.undecided(reason)))
  }
}
