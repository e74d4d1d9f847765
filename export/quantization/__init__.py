"""From a trained network to the tensors of an `.evqa` file; docs/quantization.md explains the int8 half in words.

settings.py   what can be chosen, and what is shipped
layers.py     the encoder as a list of convolutions, BatchNorm folded
equalize.py   channels scaled so that one step suits all of a tensor's
ranges.py     the step and zero point of a tensor
rounding.py   int8 weights, and rounding them for the layer's output instead of each by itself
encoder.py    the int8 convolutions, one after the other
head.py       the int8 head
simulate.py   the int8 arithmetic in PyTorch, for many pictures and questions at once
model.py      all of it, and the float32 model: the records and tensors of the file
study.py      what each technique buys, measured on val
"""
