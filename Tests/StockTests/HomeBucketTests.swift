import Stock
import Testing

@Suite struct HomeBucketTests {
  @Test("A home bucket is CRC16 of the user modulo the number of buckets")
  func isCRC16ModuloBuckets() throws {
    let user = try UserID("123456789")
    #expect(user.homeBucket(among: 16384) == 0x31C3)
    #expect(user.homeBucket(among: 1000) == 0x31C3 % 1000)
    #expect(user.homeBucket(among: 2) == 1)
  }

  @Test("With one bucket everyone lives in bucket 0", arguments: [1, 0, -1])
  func oneBucketIsHomeToAll(buckets: Int) throws {
    for name in ["a", "b", "123456789"] {
      #expect(try UserID(name).homeBucket(among: buckets) == 0)
    }
  }

  @Test("Homes lie within the buckets and use all of them evenly", arguments: [2, 3, 16, 64])
  func homesAreSpread(buckets: Int) throws {
    var buyers = [Int](repeating: 0, count: buckets)
    for index in 0..<(buckets * 1000) {
      buyers[try UserID("user-\(index)").homeBucket(among: buckets)] += 1
    }
    for (bucket, count) in buyers.enumerated() {
      #expect((700...1300).contains(count), "bucket \(bucket) of \(buckets) is home to \(count), 1000 expected")
    }
  }
}
