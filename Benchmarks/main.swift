import Torch

let x: Tensor = Tensor.ones([4, 4]), y: Tensor = Tensor.ones([4, 4])
for _ in 0..<Int(CommandLine.arguments[1])! { _ = x * y }
