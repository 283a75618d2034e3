import Foundation
import Testing

@testable import Papers

@Suite struct RequestLimiterTests {
    private let start: Date = Date(timeIntervalSince1970: 1_000_000)

    private func at(_ seconds: Double) -> Date { start.addingTimeInterval(seconds) }

    @Test func eachClientAndAllTogether() {
        var limiter: RequestLimiter = RequestLimiter(perClient: 2, inAll: 4, seconds: 60)
        #expect(limiter.admit("a", at: at(0)) == nil && limiter.admit("a", at: at(10)) == nil)
        #expect(limiter.admit("a", at: at(20)) == 40)
        #expect(limiter.admit("b", at: at(20)) == nil && limiter.admit(nil, at: at(30)) == nil)
        // The first of all was at 0; a refused one does not count.
        #expect(limiter.admit("c", at: at(40)) == 20 && limiter.admit(nil, at: at(40)) == 20)
        #expect(limiter.admit("c", at: at(60)) == nil)
        #expect(limiter.admit("a", at: at(70)) == nil)
        #expect(limiter.admit("a", at: at(71)) == 9)
    }

    @Test func aClockThatIsSetBackShutsNobodyOut() {
        var limiter: RequestLimiter = RequestLimiter(perClient: 1, inAll: 1, seconds: 60)
        #expect(limiter.admit("a", at: at(1000)) == nil)
        #expect(limiter.admit("a", at: at(0)) == nil)
        #expect(limiter.admit("a", at: at(1)) == 59)
    }

    @Test func memoryHasABound() {
        var limiter: RequestLimiter = RequestLimiter(perClient: 1, seconds: 60)
        for index in 0..<30_000 { #expect(limiter.admit("client \(index)", at: at(Double(index) / 1000)) == nil) }
        #expect(limiter.admit("client 29999", at: at(30)) != nil)
    }
}
