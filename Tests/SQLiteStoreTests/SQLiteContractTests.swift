import OrderStoreContract
import Orders
import Testing

@Suite("SQLite keeps the order stores' contract")
struct SQLiteContractTests {
  @Test(
    "Every behaviour, with every strategy",
    arguments: OrderStoreBehaviour.all,
    [HotRowStrategy.rowLock, .groupCommit]
  )
  func contract(behaviour: OrderStoreBehaviour, strategy: HotRowStrategy) async throws {
    let fixture = try SQLiteFixture(strategy: strategy)
    try await behaviour.check(fixture)
  }
}
