// One byte of a line from the image: one of Parts words of a beat, then one of Groups of channels.
module block_build #(
  parameter int Parts = 4,
  parameter int Groups = 2
) (
  input  logic clk_i,
  input  logic [(Parts > 1 ? $clog2(Parts) : 1)-1:0] part_i,
  input  logic [(Groups > 1 ? $clog2(Groups) : 1)-1:0] group_i,
  input  logic [8*Parts-1:0] beat_i,
  input  logic [8*Groups-1:0] words_i,
  output logic [7:0] word_o,
  output logic [7:0] byte_o
);
  always_ff @(posedge clk_i) begin
    word_o <= Parts > 1 ? beat_i[8*part_i +: 8] : beat_i[7:0];
    byte_o <= Groups > 1 ? words_i[8*group_i +: 8] : words_i[7:0];
  end
endmodule
