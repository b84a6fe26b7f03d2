import RedisDriver
import Stock

extension BucketID {
  /// `doorbuster:{SKU/N}`. The braces spread a product's buckets over the slots of a cluster.
  var key: String { "doorbuster:{\(sku.text)/\(index)}" }
}

extension CommandWriter {
  private static let bucketKeyBytesMax = 12 + 64 + 1 + 20 + 1

  /// Writes ``BucketID/key`` without building it: a deduction costs no allocation for its key.
  mutating func key(of bucket: BucketID) {
    withUnsafeTemporaryAllocation(byteCount: Self.bucketKeyBytesMax, alignment: 1) { memory in
      var end = Self.append("doorbuster:{", to: memory, at: 0)
      let copied: Void? = bucket.sku.text.utf8.withContiguousStorageIfAvailable { text in
        memory[end...].copyBytes(from: text)
        end += text.count
      }
      guard copied != nil else { return argument(bucket.key) }
      memory[end] = UInt8(ascii: "/")
      end += 1
      if (0...9).contains(bucket.index) {
        memory[end] = UInt8(ascii: "0") + UInt8(bucket.index)
        end += 1
      } else {
        for digit in String(bucket.index).utf8 {
          memory[end] = digit
          end += 1
        }
      }
      memory[end] = UInt8(ascii: "}")
      argument(UnsafeRawBufferPointer(rebasing: memory[...end]))
    }
  }

  private static func append(_ word: StaticString, to memory: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
    memory[offset...].copyBytes(from: UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
    return offset + word.utf8CodeUnitCount
  }
}
