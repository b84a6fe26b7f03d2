import BrokerContract
import Testing

@Suite("The broker contract, on Redis streams")
struct BrokerContractTests {
  @Test("What every broker does", .timeLimit(.minutes(2)), arguments: BrokerContract.behaviours)
  func behaviour(_ behaviour: BrokerBehaviour) async throws {
    let fixture = try StreamsFixture()
    try await behaviour.run(fixture)
  }
}
