// A term's code as what the shifter takes; the arithmetic of sf_decode_term in kernels/lanes.clh.
// code_i = {sign, e}: e = 0 is zero, else +-2^(e-1).
module lane_decode (
  input  logic [3:0] code_i,
  output logic [2:0] shift_o,
  output logic keep_o,
  output logic flip_o
);
  assign shift_o = code_i[2:0] - 3'd1;
  assign keep_o = code_i[2:0] != 3'd0;
  assign flip_o = code_i[3];
endmodule
