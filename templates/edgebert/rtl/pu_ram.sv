// One write port, one read port; the word read appears a cycle after re_i and stays.
module pu_ram #(
  parameter int unsigned Width = 8,
  parameter int unsigned AddrWidth = 8
) (
  input  logic clk_i,
  input  logic we_i,
  input  logic [AddrWidth-1:0] waddr_i,
  input  logic [Width-1:0] wdata_i,
  input  logic re_i,
  input  logic [AddrWidth-1:0] raddr_i,
  output logic [Width-1:0] rdata_o
);
  logic [Width-1:0] mem [2**AddrWidth];
  always_ff @(posedge clk_i) begin
    if (we_i) mem[waddr_i] <= wdata_i;
    if (re_i) rdata_o <= mem[raddr_i];
  end
endmodule
